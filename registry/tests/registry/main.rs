//! The registry as nodes and administrators meet it: over TLS on loopback, and through its socket.

mod agreements;
mod catalogue;
mod crash;
mod enrolment;
mod membership;
mod snapshots;
mod witness;
mod world;
