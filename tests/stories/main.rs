//! The stories: build, act, one claim.

mod first_exchange;
mod samples;
