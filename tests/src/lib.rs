//! The harness of the stories: a world of a registry, nodes, backends and callers in one process, on loopback.
//!
//! [`World`] builds it and tears it down; after each story it verifies every ledger offline. [`Backend`] is a server whose
//! behaviour the story sets, [`Caller`] an application with a client certificate, [`FaultyDisk`] a disk that stops at a
//! chosen write.

mod agreements;
mod backend;
mod caller;
mod claims;
mod disk;
mod front;
mod line;
mod messages;
mod peer_line;
mod relay;
mod rogue;
mod statements;
mod world;

pub use agreements::Grant;
pub use backend::{Backend, Behaviour};
pub use caller::{Answer, Caller, Refused, reason_of, refused};
pub use claims::another;
pub use disk::{FaultyDisk, Moment};
pub use front::Front;
pub use line::{Line, Told, framed};
pub use messages::{Question, Reply, probe_schema, probe_schema_with};
pub use peer_line::PeerLine;
pub use relay::Relay;
pub use rogue::{Door, Rogue};
pub use statements::{Receipted, Stood, statements_in};
pub use world::{CONSUMER, PROBE, PROVIDER, PURPOSE, Party, World, admission, found, until};
