//! The stories: build, act, one claim.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod again;
mod attacks;
mod backends;
mod clocks;
mod crash;
mod disk_full;
mod doors;
mod enrolment;
mod evidence;
mod first_exchange;
mod limits;
mod metadata;
mod refusals;
mod registry_away;
mod samples;
