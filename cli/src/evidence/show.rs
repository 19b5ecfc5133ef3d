//! `jisr evidence show`: what an evidence file holds, for people.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use jisr_ledger::evidence;
use jisr_proto::evidence::{Evidence, EvidencePart, EvidenceSet, EvidenceStatement};
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Citation, Core, Kind, Subject, Tag};
use prost::Message;

use super::SET_BYTES_MAX;
use crate::failure::Failure;
use crate::{instant, output};

/// Show what an evidence file, of one exchange or of many, holds: statements, parts, checkpoints
///
/// This verifies nothing: use `jisr evidence verify`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Show {
    /// Evidence file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

const HELP: &str = "\
Example:
  jisr evidence show permit.jisr

Exit codes: 0 shown · 64 wrong usage · 66 the file cannot be read, or is no evidence file";

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = output::read(&self.file, SET_BYTES_MAX)?;
        let shown = if evidence::is_set(&bytes) {
            evidence::open_set(&bytes).map(|set| set_lines(&set))
        } else {
            evidence::open(&bytes).map(|evidence| lines(&evidence))
        };
        let shown = shown.map_err(|report| {
            Failure::unusable(
                &self.file,
                report.reason,
                "name an evidence file; jisr evidence verify tells what is wrong with it",
            )
        })?;
        for line in shown {
            output::line(output::printable(&line));
        }
        output::say("shown, not verified: jisr evidence verify");
        Ok(())
    }
}

fn lines(evidence: &Evidence) -> Vec<String> {
    let mut lines = vec![
        format!("exchange     {}", id(&evidence.exchange_id)),
        format!("instance     {}", evidence.instance),
        format!("file made    {}", instant::show(evidence.created_us)),
    ];
    for statement in &evidence.statements {
        lines.push(String::new());
        lines.extend(statement_lines(statement));
    }
    lines.push(String::new());
    lines.extend(ground_lines(&evidence.checkpoints, &evidence.registry));
    lines.push(format!("certificates {}", evidence.certificates.len()));
    lines.push(format!("snapshots    {}", evidence.snapshots.len()));
    lines.push(format!("schema       {}", present(evidence.schema.len())));
    lines.push(format!("stamps       {}", stamps(evidence.stamps.len())));
    lines
}

fn set_lines(set: &EvidenceSet) -> Vec<String> {
    let mut lines = vec![
        format!("set          {}", set.title),
        format!("exchanges    {}", set.exchanges.len()),
        format!("instance     {}", set.instance),
        format!("file made    {}", instant::show(set.created_us)),
    ];
    for exchange in &set.exchanges {
        lines.push(String::new());
        lines.push(format!("exchange     {}", id(&exchange.exchange_id)));
        lines.extend(exchange.statements.iter().flat_map(statement_lines));
    }
    lines.push(String::new());
    lines.extend(ground_lines(&set.checkpoints, &set.registry));
    lines.push(format!("certificates {}", set.certificates.len()));
    lines.push(format!("snapshots    {}", set.snapshots.len()));
    lines.push(format!("schemas      {}", set.schemas.len()));
    lines.push(format!("stamps       {}", stamps(set.stamps.len())));
    lines
}

fn id(bytes: &[u8]) -> String {
    ExchangeId::try_from(bytes).map_or_else(|error| error.to_string(), |id| id.to_string())
}

fn ground_lines(checkpoints: &[Bytes], registry: &[EvidenceStatement]) -> Vec<String> {
    let checkpoints = checkpoints.iter().map(|note| checkpoint_line(note));
    let registry = registry.iter().map(|entry| format!("registry     {}", heading(entry)));
    checkpoints.chain(registry).collect()
}

fn stamps(count: usize) -> String {
    match count {
        0 => "not present".into(),
        count => count.to_string(),
    }
}

fn present(bytes: usize) -> String {
    if bytes == 0 {
        "not present".into()
    } else {
        format!("{bytes} bytes")
    }
}

fn heading(statement: &EvidenceStatement) -> String {
    let kind = core(statement).map_or_else(|| "?".to_owned(), |core| kind(core.kind));
    format!("{kind} {} entry {}", statement.origin, statement.index)
}

fn kind(number: i32) -> String {
    Kind::try_from(number).map_or_else(|_| format!("kind {number}"), |kind| kind.as_str_name().to_owned())
}

fn core(statement: &EvidenceStatement) -> Option<Core> {
    let part = statement.parts.iter().find(|part| part.tag == Tag::Core as u32)?;
    Core::decode(part.content.clone()).ok()
}

fn statement_lines(statement: &EvidenceStatement) -> Vec<String> {
    let mut lines = vec![heading(statement)];
    let tags = match core(statement) {
        Some(core) => {
            lines.extend(core_lines(&core));
            core.tags
        }
        None => Bytes::new(),
    };
    // A withheld part does not say its own tag; CORE lists the tags of all.
    for (part, tag) in statement.parts.iter().zip(tags.iter()) {
        if *tag != Tag::Core as u8 {
            lines.push(part_line(part, *tag));
        }
    }
    lines
}

fn core_lines(core: &Core) -> Vec<String> {
    let mut lines = vec![
        format!("  at         {}", instant::show(core.created_us)),
        format!("  from       {}", core.consumer),
        format!("  to         {} at {}", core.provider, core.provider_origin),
        format!("  method     {}/{}", core.service, core.method),
        format!("  agreement  {}", output::hex(&core.agreement)),
        format!("  snapshot   {}", core.snapshot_version),
    ];
    if !core.rule.is_empty() {
        lines.push(format!("  rule       {}", core.rule));
    }
    if core.status != 0 {
        lines.push(format!("  status     {}", core.status));
    }
    lines
}

fn part_line(part: &EvidencePart, tag: u8) -> String {
    let tag = Tag::try_from(i32::from(tag));
    let name = tag.map_or("part", |tag| tag.as_str_name()).to_ascii_lowercase();
    let text = match tag {
        _ if part.erased => format!("erased ({})", output::hex(&part.hash)),
        _ if part.content.is_empty() => format!("withheld ({})", output::hex(&part.hash)),
        Ok(Tag::Purpose | Tag::Case | Tag::Officer | Tag::Consent | Tag::Duty) => {
            String::from_utf8_lossy(&part.content).into_owned()
        }
        Ok(Tag::Subject) => subject(&part.content),
        Ok(Tag::Payload) => format!("commitment {}", output::hex(&part.content)),
        Ok(Tag::Peer) => citation(&part.content),
        _ => format!("{} bytes", part.content.len()),
    };
    format!("  {name:<10} {text}")
}

fn subject(content: &Bytes) -> String {
    let subject = Subject::decode(content.clone()).unwrap_or_default();
    subject
        .identifiers
        .iter()
        .map(|one| one.value.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn citation(content: &Bytes) -> String {
    let cited = Citation::decode(content.clone()).unwrap_or_default();
    format!(
        "cites {} entry {}, in the tree of size {}",
        cited.origin, cited.index, cited.tree_size
    )
}

/// Origin, size and whoever signed, from the note's text.
fn checkpoint_line(note: &[u8]) -> String {
    let text = String::from_utf8_lossy(note);
    let mut head = text.lines();
    let (origin, size) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
    let signers = text
        .lines()
        .filter_map(|line| line.strip_prefix("— ")?.split(' ').next());
    format!(
        "checkpoint   {origin} size {size}, signed by {}",
        signers.collect::<Vec<_>>().join(", ")
    )
}
