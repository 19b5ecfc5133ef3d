//! The verifier: judges files, and remembers across them what it has verified.

use super::{
    Case, Refusal, Shared,
    cache::Cache,
    ground::{Ground, Lists},
    judge::{checks, line, proven},
    open, open_set,
};
use crate::{
    Hash,
    anchor::Anchor,
    report::{Check, Report, Verdict},
};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    evidence::{Evidence, EvidenceExchange, EvidenceSet},
    ident::ExchangeId,
    statement::Kind,
};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Most exchanges of a set.
pub const SET_EXCHANGES_MAX: usize = 100_000;
/// Most schemas of a set.
const SET_SCHEMAS_MAX: usize = 4096;

/// What was found about one exchange of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExchangeReport {
    /// Its id, as text.
    pub exchange_id: String,
    /// The checks from `statements` on, as of a file about this exchange alone.
    #[serde(flatten)]
    pub report: Report,
}

/// What was found about a set. Serializes to `{verdict, reason, checks, exchanges: [{exchange_id, verdict, reason, checks}]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetReport {
    /// The verdict on the file, the worst of all: that of the checks on it and of the exchanges. One that cannot be taken apart
    /// has no exchanges.
    #[serde(flatten)]
    pub report: Report,
    /// The exchanges, by id.
    pub exchanges: Vec<ExchangeReport>,
}

/// Judges evidence under one anchor. It remembers signatures, certificates, snapshots and agreements that held, so that the
/// next file that has the same ones is judged faster; the verdict is the same.
pub struct Verifier {
    anchor: Anchor,
    cache: Cache,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// A verifier that has seen nothing yet.
    #[must_use]
    pub fn new(anchor: Anchor) -> Self {
        Self {
            anchor,
            cache: Cache::default(),
        }
    }

    /// Judges a file about one exchange. `time_us` is the instant as of which it is judged, microseconds since
    /// 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn verify(&self, file: &[u8], time_us: u64) -> Report {
        match open(file) {
            Ok(evidence) => self
                .judge(&evidence, time_us)
                .unwrap_or_else(|(id, why)| Report::refused(id, why)),
            Err(report) => report,
        }
    }

    fn judge(&self, evidence: &Evidence, time_us: u64) -> Result<Report, Refusal> {
        if evidence.format != 1 {
            return Err(("format", "the body's format is not 1".to_owned()));
        }
        let ground = Ground::read(&Lists::of_one(evidence), &self.anchor, &self.cache)?;
        let instance = &self.anchor.instance;
        let case = Case::read(
            &evidence.exchange_id,
            &evidence.statements,
            instance,
            &ground,
            &evidence.schema,
        )?;
        ground.all_used(case.statements.iter().map(|entry| entry.note))?;
        let shared = Shared::judge(&ground, &self.anchor, &self.cache);
        let made_for = format!("evidence of version 1, made for exchange {}", case.exchange);
        let mut lines = self.head(made_for);
        lines.extend(checks(&case, &shared, time_us));
        Ok(Report::of(lines, || proven(&case), None))
    }

    /// Judges a set: each exchange as if it stood in a file of its own with all lists of the set.
    #[must_use]
    pub fn verify_set(&self, file: &[u8], time_us: u64) -> SetReport {
        let judged = match open_set(file) {
            Ok(set) => self
                .judge_set(&set, time_us)
                .map_err(|(id, why)| Report::refused(id, why)),
            Err(report) => Err(report),
        };
        judged.unwrap_or_else(|report| SetReport {
            report,
            exchanges: Vec::new(),
        })
    }

    fn judge_set(&self, set: &EvidenceSet, time_us: u64) -> Result<SetReport, Refusal> {
        in_form(set)?;
        let ground = Ground::read(&Lists::of_set(set), &self.anchor, &self.cache)?;
        let schemas = schemas(set)?;
        let shared = Shared::judge(&ground, &self.anchor, &self.cache);
        let mut used_notes = HashSet::new();
        let mut used_schemas = HashSet::new();
        let mut exchanges = Vec::with_capacity(set.exchanges.len());
        for exchange in &set.exchanges {
            let notes = exchange.statements.iter().map(|raw| raw.checkpoint);
            used_notes.extend(notes.filter_map(|at| usize::try_from(at).ok()));
            let (schema, report) = self.judge_one(exchange, &ground, &shared, &schemas, time_us);
            used_schemas.extend(schema);
            exchanges.push(ExchangeReport {
                exchange_id: id_text(&exchange.exchange_id),
                report,
            });
        }
        ground.all_used(used_notes.into_iter())?;
        if used_schemas.len() < schemas.len() {
            return Err(("format", "a schema belongs to no question in the file".to_owned()));
        }
        let made_for = format!(
            "a set of evidence of version 1 of {} exchanges: {}",
            set.exchanges.len(),
            set.title
        );
        Ok(summed(self.head(made_for), exchanges))
    }

    /// Judges one exchange of a set; returns the digest of the schema that goes with it, where there is one.
    fn judge_one(
        &self,
        exchange: &EvidenceExchange,
        ground: &Ground,
        shared: &Shared,
        schemas: &HashMap<Hash, &Bytes>,
        time_us: u64,
    ) -> (Option<Hash>, Report) {
        let no_schema = Bytes::new();
        let instance = &self.anchor.instance;
        let case = Case::read(
            &exchange.exchange_id,
            &exchange.statements,
            instance,
            ground,
            &no_schema,
        );
        let mut case = match case {
            Ok(case) => case,
            Err((id, why)) => return (None, Report::refused(id, why)),
        };
        let asked = case.of_kind(Kind::Asked).next();
        let digest = asked.and_then(|asked| Hash::try_from(asked.parsed.core().schema.as_ref()).ok());
        let digest = digest.filter(|digest| schemas.contains_key(digest));
        if let Some(schema) = digest.and_then(|digest| schemas.get(&digest)) {
            case.schema = schema;
        }
        let report = Report::of(checks(&case, shared, time_us), || proven(&case), None);
        (digest, report)
    }

    fn head(&self, made_for: String) -> Vec<Check> {
        let instance = format!("the file and the anchor are of the instance {}", self.anchor.instance);
        vec![
            line("format", Ok(made_for)),
            line("digest", Ok("the file is as it was made".to_owned())),
            line("anchor", Ok(instance)),
        ]
    }
}

/// Checks what a set has besides the lists of a file about one exchange.
fn in_form(set: &EvidenceSet) -> Result<(), Refusal> {
    let bad = |why: &str| Err(("format", why.to_owned()));
    if set.format != 1 {
        return bad("the body's format is not 1");
    }
    if !(1..=SET_EXCHANGES_MAX).contains(&set.exchanges.len()) || set.schemas.len() > SET_SCHEMAS_MAX {
        return bad("it has no exchange, or more of something than a set may have");
    }
    if set.title.len() > 1024 || set.title.chars().any(char::is_control) {
        return bad("its title is longer than 1024 bytes or holds control characters");
    }
    if !set
        .exchanges
        .is_sorted_by(|one, next| one.exchange_id < next.exchange_id)
    {
        return bad("its exchanges do not stand by id, each once");
    }
    if set.exchanges.iter().any(|exchange| exchange.exchange_id.len() != 16) {
        return bad("an exchange id is not 16 bytes long");
    }
    Ok(())
}

/// The schemas by digest, in whose order they stand.
fn schemas(set: &EvidenceSet) -> Result<HashMap<Hash, &Bytes>, Refusal> {
    let digests: Vec<Hash> = set
        .schemas
        .iter()
        .map(|schema| domain("jisr.schema", &[schema]))
        .collect();
    if !digests.is_sorted_by(|one, next| one < next) {
        return Err(("format", "its schemas do not stand by digest, each once".to_owned()));
    }
    Ok(digests.into_iter().zip(&set.schemas).collect())
}

fn summed(checks: Vec<Check>, exchanges: Vec<ExchangeReport>) -> SetReport {
    let count = |verdict| exchanges.iter().filter(|one| one.report.verdict == verdict).count();
    let worst = exchanges.iter().map(|one| one.report.verdict).max();
    let verdict = worst.unwrap_or(Verdict::Invalid);
    let first = exchanges.iter().find(|one| one.report.verdict == verdict);
    let reason = match first.filter(|_| verdict != Verdict::Valid) {
        Some(first) => format!(
            "{} of {} exchanges are {verdict}; the first is {}: {}",
            count(verdict),
            exchanges.len(),
            first.exchange_id,
            first.report.reason
        ),
        None => format!("{} exchanges are proven", exchanges.len()),
    };
    SetReport {
        report: Report {
            verdict,
            reason,
            checks,
            head: None,
        },
        exchanges,
    }
}

fn id_text(id: &Bytes) -> String {
    ExchangeId::try_from(id.as_ref()).map_or_else(
        |_| id.iter().map(|byte| format!("{byte:02x}")).collect(),
        |id| id.to_string(),
    )
}
