//! The stories: build, act, one claim.

mod crash;
mod evidence;
mod first_exchange;
mod samples;
