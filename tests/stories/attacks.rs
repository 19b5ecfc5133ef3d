//! Attacks that must fail (docs/threats.md), each a story.
//!
//! The attacker is a member that was enrolled like any other and then speaks the peer protocol by hand, with its own keys
//! and its own ledger.

mod answers;
mod certificates;
mod floods;
mod ledgers;
mod questions;
mod receipts;
mod registry;
mod replays;
mod seals;
mod snapshots;

use jisr_tests::{Question, Rogue, World};

/// mol asked psd once as it should, and turns rogue.
async fn mol_turns() -> (World, Rogue) {
    let mut world = World::of_two().await;
    world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    (world, rogue)
}

/// How many statements the victim's ledger holds.
fn size(world: &World) -> usize {
    world.statements("psd").len()
}

/// The honest parties' ledgers verify; what the rogue wrote into its own is its affair.
async fn end(mut world: World, rogue: Rogue, code: &str) {
    drop(rogue);
    world.parties.remove(code);
    world.end().await;
}
