//! The demo network: six agencies with typed backends over generated data, and the work permit renewal that crosses them.
//!
//! Reading order:
//! - [`jo`]: types and stubs generated from the `.proto` files; [`contracts`]: what a publisher publishes of them;
//! - [`agency`]: who takes part and what each of them offers;
//! - [`world`]: the made-up people and companies, the same for every agency that starts from the same seed;
//! - [`backend`]: the agencies' own systems, gRPC servers over SQLite;
//! - [`demo`]: the network with all its processes, and the journey.
//!
//! Nothing here knows how nodes talk to each other: a backend is an ordinary gRPC server, and an application an ordinary client.
//!
//! All persons, companies and numbers are invented.

pub mod agency;
pub mod backend;
pub mod contracts;
pub mod demo;
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod jo;
pub mod world;
