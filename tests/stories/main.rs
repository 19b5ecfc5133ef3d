//! The stories: build, act, one claim.

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
