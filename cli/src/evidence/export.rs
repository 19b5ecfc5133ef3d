//! `jisr evidence export`: the file that proves one exchange, or many; made by the node, or offline of its directories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{ExportEvidenceRequest, ExportEvidenceSetRequest};
use jisr_proto::ident::ExchangeId;
use serde_json::json;

use super::parts::Parts;
use super::schemas;
use super::selection::Selection;
use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::role::Role;
use crate::{archive, instant, output, runtime};

/// Write the evidence file of one exchange, or of many
///
/// Given an ID, the file proves that exchange. Chosen by case, person, peer, time or a list of ids, one file proves them
/// all, and what they share stands in it once. The node waits for what the proof still lacks: the statements that close
/// the exchanges, and cosigned checkpoints of both ledgers. What is lacking after --wait is told, and the file then
/// verifies as INDETERMINATE; export it again later. Parts can be withheld: the file then proves that they exist, but not
/// what they say.
///
/// With --ledger, no node and no registry is needed: the file is made of a ledger directory, live, mirrored or archived,
/// and of what the node kept in its data directory, as far as that reaches.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Export {
    #[command(flatten)]
    selection: Selection,
    /// Data directory of the node; it must be running
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "ledger",
        conflicts_with = "ledger"
    )]
    dir: Option<PathBuf>,
    /// Ledger directory to make the file of, offline; or an s3:// address
    #[arg(long, value_name = "DIR", requires = "data")]
    ledger: Option<String>,
    /// Data directory, or a copy or mirror of it, with the node's keys, snapshots and kept entries of the registry; or an s3:// address
    #[arg(long, value_name = "DIR", requires = "ledger")]
    data: Option<String>,
    /// Recovery secret of the mirror that --data names: opens the keys in it while the command runs
    #[arg(long, value_name = "FILE", requires = "data")]
    secret_file: Option<PathBuf>,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long to wait for what is lacking, at most 60s
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = wait)]
    wait: Duration,
    /// Most exchanges in the file; where more are meant, nothing is written
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only exchanges in which the node asked, or was asked; needed where a peer asked back under the id of one that it asked
    #[arg(long, value_enum)]
    role: Option<Role>,
    #[command(flatten)]
    parts: Parts,
    /// Include the schemas, which say what the messages mean
    #[arg(long)]
    schema: bool,
    /// Print one object {exchange_id, file, bytes, lacks}; of many exchanges {exchanges, file, bytes, lacks}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  jisr evidence export 019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60 --dir /var/lib/jisr --out permit.jisr --withhold case,officer
  jisr evidence export --case 2026/1234 --dir /var/lib/jisr --out case.jisr --open purpose,case
  jisr evidence export --peer JO/GOV/psd --from 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z --dir /var/lib/jisr --out november.jisr
  jisr evidence export 019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60 --ledger /mnt/archive/ledger --data /mnt/archive --out permit.jisr
  jisr evidence verify case.jisr --anchor anchor

Exit codes: 0 written, perhaps with something lacking · 1 refused, or the node is not running · 64 wrong usage, or the \
file exists · 66 a directory cannot be read · 70 this program or machine failed";

/// A span of at most a minute: the admin door is no place to wait for hours.
fn wait(text: &str) -> Result<Duration, String> {
    let span = instant::span(text)?;
    if span > Duration::from_secs(60) {
        Err("at most 60s; export again later instead".into())
    } else {
        Ok(span)
    }
}

/// A file that was made.
pub(super) struct Made {
    pub(super) file: Vec<u8>,
    /// How many exchanges it is about.
    pub(super) exchanges: u32,
    /// What it lacks, in words.
    pub(super) lacks: Vec<String>,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::usage(
                format!("{} exists already", self.out.display()),
                "name another file",
            ));
        }
        let filter = self.selection.filter()?;
        let data = self.data.as_deref();
        let data = data.map(|data| archive::Data::open(data, self.secret_file.as_deref()));
        let data = data.transpose()?;
        let mut made = match (&self.dir, &self.ledger, &data) {
            (_, Some(ledger), Some(data)) => {
                let ledger = archive::Archive::open(ledger)?;
                let wanted = super::offline::Wanted {
                    filter: &filter,
                    one: self.selection.id,
                    role: self.role.map(Into::into),
                    limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
                };
                super::offline::export(ledger.dir(), data, &wanted, &self.parts.withheld())?
            }
            (Some(dir), ..) => match self.selection.id {
                Some(id) => self.one(dir, id)?,
                None => self.many(dir, filter)?,
            },
            _ => {
                return Err(Failure::usage(
                    "no directory is named",
                    "name the data directory with --dir",
                ));
            }
        };
        let kept = data.as_ref().map(archive::Data::dir).or(self.dir.as_deref());
        if let Some(data) = kept.filter(|_| self.schema) {
            schemas::add(&mut made, data)?;
        }
        output::write_new(&self.out, &made.file)?;
        for lack in &made.lacks {
            output::say(format!("lacking: {lack}"));
        }
        self.tell(&made)
    }

    fn tell(&self, made: &Made) -> Result<(), Failure> {
        if !self.json {
            output::line(self.out.display());
            return Ok(());
        }
        let mut told = json!({ "file": self.out, "bytes": made.file.len(), "lacks": made.lacks });
        if let Some(told) = told.as_object_mut() {
            match self.selection.id {
                Some(id) => told.insert("exchange_id".into(), json!(id.to_string())),
                None => told.insert("exchanges".into(), json!(made.exchanges)),
            };
        }
        output::json(&told)
    }

    fn one(&self, dir: &Path, id: ExchangeId) -> Result<Made, Failure> {
        let request = ExportEvidenceRequest {
            exchange_id: Bytes::copy_from_slice(id.as_bytes()),
            wait_ms: self.wait_ms(),
            withhold: self.parts.numbers(),
            role: Role::number(self.role),
        };
        let reply = runtime::block_on(async {
            let channel = admin::connect(dir, Server::Node).await?;
            let mut client = AdminClient::new(channel).max_decoding_message_size(REPLY_BYTES_MAX);
            Ok(client.export_evidence(request).await?.into_inner())
        })?;
        Ok(Made {
            file: reply.evidence.into(),
            exchanges: 1,
            lacks: reply.lacks,
        })
    }

    fn many(&self, dir: &Path, filter: jisr_proto::admin::ExchangeFilter) -> Result<Made, Failure> {
        let request = ExportEvidenceSetRequest {
            filter: Some(filter),
            wait_ms: self.wait_ms(),
            withhold: self.parts.numbers(),
            limit: self.limit,
            role: Role::number(self.role),
        };
        runtime::block_on(async {
            let channel = admin::connect(dir, Server::Node).await?;
            let mut client = AdminClient::new(channel).max_decoding_message_size(REPLY_BYTES_MAX);
            let mut chunks = client.export_evidence_set(request).await?.into_inner();
            let mut made = Made {
                file: Vec::new(),
                exchanges: 0,
                lacks: Vec::new(),
            };
            while let Some(chunk) = chunks.message().await? {
                made.file.extend_from_slice(&chunk.data);
                made.exchanges = chunk.exchanges;
                made.lacks = chunk.lacks;
            }
            Ok(made)
        })
    }

    fn wait_ms(&self) -> u32 {
        u32::try_from(self.wait.as_millis()).unwrap_or(u32::MAX)
    }
}

/// Room for the largest evidence file and what stands around it.
const REPLY_BYTES_MAX: usize = 17 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        export: Export,
    }

    fn parse(extra: &[&str]) -> Result<Export, clap::Error> {
        let line = ["x", "--dir", "d", "--out", "f"];
        Line::try_parse_from(line.iter().chain(extra)).map(|line| line.export)
    }

    #[test]
    fn nobody_waits_for_hours() {
        assert_eq!(parse(&[]).unwrap().wait, Duration::from_secs(15));
        assert!(parse(&["--wait", "2h"]).is_err());
    }

    #[test]
    fn it_is_made_by_a_node_or_offline() {
        assert!(parse(&["--ledger", "l", "--data", "e"]).is_err());
        assert!(Line::try_parse_from(["x", "--out", "f"]).is_err());
        assert!(Line::try_parse_from(["x", "--out", "f", "--ledger", "l"]).is_err());
        assert!(Line::try_parse_from(["x", "--out", "f", "--ledger", "l", "--data", "d"]).is_ok());
    }
}
