//! The registry as nodes and administrators meet it: over TLS on loopback, and through its socket.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod administrators;
mod agreements;
mod catalogue;
mod crash;
mod door;
mod enrolment;
mod membership;
mod recovery;
mod renewal;
mod snapshots;
mod witness;
mod world;
