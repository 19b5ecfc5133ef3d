//! The stories: build, act, one claim.

mod evidence;
mod first_exchange;
mod samples;
