//! A round: load, faults, quiet, judgement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::clock::Clock;
use jisr_tests::{Caller, Grant, PROVIDER, PURPOSE, World};

use crate::dice::Dice;
use crate::fault::{Fault, MEMBERS, WrongClock, running, strike};
use crate::judge::{self, Tally};
use crate::load::{Load, PAIRS};

/// Plays rounds in one network.
pub(crate) async fn network(dice: &mut Dice, first: u64, rounds: u64, tally: &mut Tally) {
    let mut world = World::new().await;
    let mut clocks: BTreeMap<&str, Arc<WrongClock>> = BTreeMap::new();
    for code in MEMBERS {
        world.join(code).await;
        world.stop_node(code).await;
        let clock = Arc::new(WrongClock::default());
        world.start_node_by(code, Arc::clone(&clock) as Arc<dyn Clock>).await;
        clocks.insert(code, clock);
    }
    for code in MEMBERS {
        running(&world, code).await;
    }
    world.publish("psd", PROVIDER).await;
    world.publish("ssc", "JO/GOV/ssc/probe").await;
    for pair in PAIRS {
        world
            .agree(&Grant {
                consumer: pair.subsystem,
                provider: pair.published,
                methods: &["Read", "Write"],
                valid_us: (0, u64::MAX >> 1),
                consent_required: false,
            })
            .await;
    }
    for round in first..first + rounds {
        play(&mut world, &clocks, dice, round, tally).await;
    }
    world.end().await;
    tally.network_ended();
}

async fn play(
    world: &mut World,
    clocks: &BTreeMap<&str, Arc<WrongClock>>,
    dice: &mut Dice,
    round: u64,
    tally: &mut Tally,
) {
    let callers: Vec<Caller> = PAIRS
        .iter()
        .map(|pair| {
            world
                .caller_of(pair.consumer, pair.subsystem)
                .with("jisr-purpose", PURPOSE)
                .with("jisr-provider", pair.published)
        })
        .collect();
    let load = Load::start(round, &callers);
    tokio::time::sleep(Duration::from_millis(100 + dice.below(200))).await;
    for _ in 0..=dice.below(3) {
        let code = dice.one(&MEMBERS);
        let fault = Fault::any(dice);
        println!("round {round}: {code}: {fault}");
        strike(world, code, clocks.get(code).expect("every member has a clock"), fault).await;
        tally.struck(fault);
        tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
    }
    for code in MEMBERS {
        running(world, code).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let acknowledged = load.stop().await;
    judge::quiet(world).await;
    judge::judge(world, &acknowledged, tally);
}
