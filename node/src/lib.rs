//! The agency's server. Every node is the same program and does both sides of an exchange.
//!
//! Two corridors know the order of steps: `consumer` asks, `provider` answers; `asked` and `question` are what each holds. Beside them lie closets that return
//! values and never call each other: `directory` (the snapshot), `agreements` (what is allowed), `schemas`,
//! `peers`, `backends`, `answers`, `proofs`, `refusals`, `archive`, `registry_link`; `closets` holds them side by side.
//! `doors` turn bytes into questions and faults into statuses; [`form`] judges what peers say by its form alone. `settling` and `asking` end what was cut off.
//!
//! Invariants:
//! - nothing leaves this node before the statement that covers it is durable (DELIVERED excepted);
//! - the corridors work only on what a check returned: a verified seal, a permit;
//! - every exchange closes once in this node's ledger;
//! - no call with effects runs twice: the replay set is entered before RECEIVED, and rebuilt before the peer door opens.

mod agreeing;
mod agreements;
mod answers;
pub mod archive;
mod asked;
mod asking;
mod away;
mod backends;
mod budget;
pub mod cache;
mod cancelled;
mod closets;
mod closing;
pub mod config;
mod connections;
mod consumer;
mod cosigning;
mod counters;
mod directory;
mod doors;
mod ending;
mod ends;
mod erasing;
pub mod error;
mod evidence;
mod facts;
mod fading;
mod findings;
pub mod form;
mod grpc;
mod identity;
mod machine;
mod metrics;
pub mod mirroring;
mod node;
mod opening;
mod pairing;
mod paying;
mod peers;
mod proofs;
mod provider;
pub mod quarantine;
mod question;
mod receipts;
mod reconciling;
mod rereading;
mod recovering;
mod refusals;
mod registry_link;
mod renewing;
mod roles;
mod routes;
mod running;
mod schemas;
mod liveness;
mod monitor;
mod settling;
pub mod setup;
pub mod snapshots;
pub mod succession;
mod stamping;
mod standing;
mod trust;
mod watching;
mod workers;

pub use config::Config;
pub use error::StartError;
pub use jisr_ledger::ledger::Storage;
pub use node::Node;
pub use setup::Layout;
