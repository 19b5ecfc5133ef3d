//! The registry: the central server of an instance.
//!
//! Its state is its ledger. Every act is checked, appended, durable, and only then applied and visible; the snapshot that
//! every node holds is made from the state, and each version of it is an entry too. The registry is on the path of no exchange.
//!
//! - [`Config`] what it is told, [`init`] how its directory is made, [`Registry`] the running one (`server`);
//! - `door`, `gate`, `service`, `beside`, `admin` who comes in, and the table of contents of what can be asked;
//! - [`form`] what callers say, judged by its form alone;
//! - [`administration`] what administrators sign; `founding` with whom a registry begins;
//! - `office` and its tasks `administer`, `status`, `enrol`, `publish`, `catalogue`, `health`, `agree`, `hello`, `witness`, `report`, `entries`, `follow`, `confirm`;
//! - `standing` whether anything may be sealed, `quarantine` the mark that it may not;
//! - `desk` and `book` the one writer; `state` the fold over the acts and the rules that they alone decide;
//! - `snapshot` what is published, `kept` its newest version on disk; `schemas`, `proposals` files beside the ledger;
//! - `agreement` what a document must say, `agreed` when a party's yes to it counts.
//!
//! Invariants:
//! - One task changes the state; a caller who hangs up leaves nothing half done.
//! - A token's secret is nowhere but in the token; the ledger knows its digest.
//! - An administrator's act bears a signature that stands in the ledger with it; what has none has no effect there.
//! - Whoever calls is a node that is listed at this moment; only enrolment needs no certificate.
//! - Nobody is answered before the snapshot that shows the act is published.
//! - After a start nothing is sealed before a node has shown that it holds nothing newer of the registry's ledger.

pub mod administration;
pub mod form;

mod config;
mod founding;
mod init;
mod server;

mod admin;
mod beside;
mod door;
mod gate;
mod service;

mod administer;
mod agree;
mod confirm;
mod enrol;
mod entries;
mod follow;
mod history;
mod hello;
mod office;
mod places;
mod publish;
mod catalogue;
mod health;
mod renew;
mod report;
mod returned;
mod status;
mod witness;

mod book;
mod cosigned;
mod desk;
mod keys;
mod kept;
mod listing;
mod proposals;
mod quarantine;
mod rate;
mod schemas;
mod stamping;
mod standing;
mod text;
mod token;

mod agreed;
mod agreement;
mod error;
mod refusal;
mod snapshot;
mod telling;
mod state;

pub use config::{Config, Limits};
pub use error::Error;
pub use founding::{Founder, Founding};
pub use init::{Made, init, init_on};
pub use jisr_ledger::ledger::Storage;
pub use refusal::Refusal;
pub use server::Registry;
pub use state::StateError;
