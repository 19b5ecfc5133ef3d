//! Evidence: one file for each exchange, verified offline, and a copy with one flipped bit that must be found.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use crate::agency::Agency;

use super::DemoError;
use super::commands::Jisr;
use super::journey::{Journey, Outcome};
use super::layout::{self, Layout};
use super::screen;

/// What was collected.
pub(super) struct Proof {
    /// Path of the VALID evidence file by exchange id, relative to the demo's directory.
    pub(super) files: BTreeMap<String, String>,
    /// Why an exchange has none.
    pub(super) lacking: BTreeMap<String, String>,
    /// The copy with a flipped bit.
    pub(super) tampered: Tampered,
}

/// The tampered copy and what the verifier said of it.
pub(super) struct Tampered {
    pub(super) file: String,
    pub(super) byte: usize,
    pub(super) verdict: String,
    pub(super) reason: String,
    /// The verifier called it INVALID.
    pub(super) found: bool,
}

/// Exports and verifies the evidence of every exchange that has an id.
pub(super) async fn collect(jisr: &Jisr, layout: &Layout, journey: &Journey) -> Result<Proof, DemoError> {
    let step = screen::step("evidence: exported from the ministry's node, verified offline");
    // All wait for the same few cosignatures, so they wait together.
    let mut tasks: JoinSet<Result<(String, Verified), DemoError>> = JoinSet::new();
    for exchange in journey.exchanges().filter(|exchange| !exchange.id.is_empty()) {
        let (jisr, id) = (jisr.clone(), exchange.id.clone());
        tasks.spawn(async move { Ok((id.clone(), export(&jisr, &id).await?)) });
    }
    let (mut files, mut lacking) = (BTreeMap::new(), BTreeMap::new());
    while let Some(ended) = tasks.join_next().await {
        match ended.expect("no task is cancelled, and none panics")? {
            (id, Verified::Valid) => {
                let file = format!("evidence/{id}.jisr");
                layout.rename(&staged(&id), &file)?;
                files.insert(id, file);
            }
            (id, Verified::Not(why)) => {
                lacking.insert(id, why);
            }
        }
    }
    let answered = journey
        .exchanges()
        .find(|e| e.outcome == Outcome::Answered && files.contains_key(&e.id));
    let tampered = match answered {
        Some(exchange) => tamper(jisr, layout, &exchange.id).await?,
        None => Tampered::nothing(),
    };
    step.done();
    Ok(Proof {
        files,
        lacking,
        tampered,
    })
}

/// Verdict on a file.
enum Verified {
    Valid,
    Not(String),
}

/// Where a file stands until it is known to be VALID.
fn staged(id: &str) -> String {
    format!("staged/{id}.jisr")
}

async fn export(jisr: &Jisr, id: &str) -> Result<Verified, DemoError> {
    let (file, node) = (staged(id), layout::node(Agency::Mol));
    let exported = jisr
        .attempt(&["evidence", "export", id, "--dir", &node, "--out", &file])
        .await?;
    if exported.code() != Some(0) {
        return Ok(Verified::Not(exported.failure().to_string()));
    }
    let verified = jisr
        .attempt(&["evidence", "verify", &file, "--anchor", "anchor", "--json"])
        .await?;
    match verified.code() {
        Some(0) => Ok(Verified::Valid),
        Some(1 | 2) => Ok(Verified::Not(format!(
            "{}: {}",
            verified.text("verdict")?,
            verified.text("reason")?
        ))),
        _ => Err(verified.failure()),
    }
}

/// Flips the lowest bit in the middle of a copy.
async fn tamper(jisr: &Jisr, layout: &Layout, id: &str) -> Result<Tampered, DemoError> {
    let mut bytes = layout.read(&format!("evidence/{id}.jisr"))?;
    let byte = bytes.len() / 2;
    if let Some(flipped) = bytes.get_mut(byte) {
        *flipped ^= 1;
    }
    let file = format!("tampered/{id}.jisr");
    layout.write(&file, &bytes)?;
    let done = jisr
        .attempt(&["evidence", "verify", &file, "--anchor", "anchor", "--json"])
        .await?;
    let (verdict, reason) = (done.text("verdict")?, done.text("reason")?);
    Ok(Tampered {
        file,
        byte,
        found: done.code() == Some(1) && verdict == "INVALID",
        verdict,
        reason,
    })
}

impl Tampered {
    /// Without evidence there is nothing to tamper with, and nothing is found.
    fn nothing() -> Self {
        Self {
            file: "no file".to_owned(),
            byte: 0,
            verdict: "nothing to verify".to_owned(),
            reason: String::new(),
            found: false,
        }
    }
}
