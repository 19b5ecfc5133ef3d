//! The stories: build, act, one claim.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod again;
mod attacks;
mod auditing;
mod backends;
mod clocks;
mod catalogue;
mod crash;
mod disk_full;
mod doors;
mod durable;
mod enrolment;
mod erasure;
mod evidence;
mod first_exchange;
mod forks;
mod limits;
mod metadata;
mod metrics;
mod mirror;
mod monitors;
mod pages;
mod receipts;
mod reconciliation;
mod recovering;
mod refusals;
mod rereading;
mod renewal;
mod registry_away;
mod registry_recovering;
mod revocation;
mod samples;
mod stamps;
mod succession;
mod witnesses;
mod witnessing;

use jisr_tests::World;

/// The same world with nodes that compare ledgers more often than they would, and wait for proofs for so many seconds.
async fn quick(mut world: World, unproven_s: u64) -> World {
    let codes: Vec<String> = world.parties.keys().cloned().collect();
    for code in codes {
        world.stop_node(&code).await;
        let quicker = format!("[watch]\nbusy_s = 1\nidle_s = 2\nunproven_s = {unproven_s}\n\n[ledger]\n");
        world.reconfigure(&code, "[ledger]\n", &quicker);
        world.start_node(&code).await;
    }
    world
}
