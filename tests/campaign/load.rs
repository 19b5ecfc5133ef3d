//! Applications that ask all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jisr_ledger::clock::{Clock as _, SystemClock};
use jisr_proto::ident::ExchangeId;
use jisr_tests::{Caller, Question};
use tokio::task::JoinHandle;

/// Who asks whom.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) consumer: &'static str,
    pub(crate) subsystem: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) published: &'static str,
}

/// Every member asks and is asked.
pub(crate) const PAIRS: [Pair; 3] = [
    Pair {
        consumer: "mol",
        subsystem: "JO/GOV/mol/permits",
        provider: "psd",
        published: "JO/GOV/psd/residency",
    },
    Pair {
        consumer: "psd",
        subsystem: "JO/GOV/psd/residency",
        provider: "ssc",
        published: "JO/GOV/ssc/probe",
    },
    Pair {
        consumer: "ssc",
        subsystem: "JO/GOV/ssc/probe",
        provider: "psd",
        published: "JO/GOV/psd/residency",
    },
];

/// Askers for each pair.
const ASKERS: u64 = 3;

/// An exchange whose answer an application has.
pub(crate) struct Acknowledged {
    pub(crate) id: ExchangeId,
    pub(crate) pair: usize,
}

/// The running applications.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    askers: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Load {
    /// Starts askers, whose ids differ from those of every other round.
    pub(crate) fn start(round: u64, callers: &[Caller]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut askers = Vec::new();
        for (pair, caller) in callers.iter().enumerate() {
            for number in 0..ASKERS {
                let lane = u8::try_from(pair).expect("few pairs") << 4 | u8::try_from(number).expect("few askers");
                askers.push(tokio::spawn(asker(
                    caller.clone(),
                    pair,
                    lane,
                    round,
                    Arc::clone(&stop),
                )));
            }
        }
        Load { stop, askers }
    }

    /// Stops and returns what was acknowledged.
    pub(crate) async fn stop(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        for asker in self.askers {
            acknowledged.extend(asker.await.expect("an asker does not fail"));
        }
        acknowledged
    }
}

async fn asker(caller: Caller, pair: usize, lane: u8, round: u64, stop: Arc<AtomicBool>) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let mut turn = 0_u32;
    while !stop.load(Ordering::SeqCst) {
        turn += 1;
        let mut random = [0; 10];
        random[4] = lane;
        random[5] = u8::try_from(round & 0xff).expect("one byte");
        random[6..].copy_from_slice(&turn.to_be_bytes());
        let id = ExchangeId::new_v7(SystemClock.now_us(), random);
        if asked(&caller, id, turn).await {
            acknowledged.push(Acknowledged { id, pair });
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    acknowledged
}

/// Asks, and now and then, where no answer came, once more with the same id, as applications do.
async fn asked(caller: &Caller, id: ExchangeId, turn: u32) -> bool {
    let method = if turn.is_multiple_of(3) { "Read" } else { "Write" };
    let path = format!("/jisr.tests.v1.Probe/{method}");
    let caller = caller.clone().with("jisr-exchange-id", &id.to_string());
    for _ in 0..=turn % 2 {
        let question = Question::about("9901234567").bytes();
        if let Ok(answer) = caller.call(&path, question, Duration::from_secs(3)).await {
            assert_eq!(answer.reply.text, "9901234567", "{id}");
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
