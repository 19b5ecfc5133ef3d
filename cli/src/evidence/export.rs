//! `jisr evidence export`: the node makes the file.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use jisr_proto::admin::ExportEvidenceRequest;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Tag;
use serde_json::json;

use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::{instant, output, runtime};

/// Have the node write the evidence file of one exchange
///
/// The node waits for what the proof still lacks: the statement that closes the exchange, and cosigned checkpoints of
/// both ledgers. What is lacking after --wait is told, and the file then verifies as INDETERMINATE; export it again
/// later. Parts can be withheld: the file then proves that they exist, but not what they say.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Export {
    /// Id of the exchange, as `jisr call` and the metadata jisr-exchange-id tell it
    #[arg(value_name = "ID")]
    exchange_id: ExchangeId,
    /// Data directory of the node; it must be running
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long to wait for what is lacking, at most 60s
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = wait)]
    wait: Duration,
    /// Parts to withhold, separated by commas
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    withhold: Vec<Part>,
    /// Print one object {exchange_id, file, bytes, lacks}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr evidence export 019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60 --dir /var/lib/jisr --out permit.jisr --withhold case,officer
  jisr evidence verify permit.jisr --anchor anchor

Exit codes: 0 written, perhaps with something lacking · 1 refused, or the node is not running · 64 wrong usage, or the \
file exists · 70 this program or machine failed";

/// A part of a statement that may be withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What for
    Purpose,
    /// Case reference
    Case,
    /// Officer reference
    Officer,
    /// Consent reference
    Consent,
    /// Legal duty
    Duty,
    /// Whom it is about
    Subject,
    /// Commitments to request and reply
    Payload,
}

impl Part {
    fn tag(self) -> u32 {
        let tag = match self {
            Part::Purpose => Tag::Purpose,
            Part::Case => Tag::Case,
            Part::Officer => Tag::Officer,
            Part::Consent => Tag::Consent,
            Part::Duty => Tag::Duty,
            Part::Subject => Tag::Subject,
            Part::Payload => Tag::Payload,
        };
        tag as u32
    }
}

/// A span of at most a minute: the admin door is no place to wait for hours.
fn wait(text: &str) -> Result<Duration, String> {
    let span = instant::span(text)?;
    if span > Duration::from_secs(60) {
        Err("at most 60s; export again later instead".into())
    } else {
        Ok(span)
    }
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::usage(
                format!("{} exists already", self.out.display()),
                "name another file",
            ));
        }
        let mut withhold: Vec<u32> = self.withhold.iter().map(|part| part.tag()).collect();
        withhold.sort_unstable();
        withhold.dedup();
        let request = ExportEvidenceRequest {
            exchange_id: Bytes::copy_from_slice(self.exchange_id.as_bytes()),
            wait_ms: u32::try_from(self.wait.as_millis()).unwrap_or(u32::MAX),
            withhold,
        };
        let reply = runtime::block_on(async {
            let channel = admin::connect(&self.dir, Server::Node).await?;
            let mut client = AdminClient::new(channel).max_decoding_message_size(REPLY_BYTES_MAX);
            Ok(client.export_evidence(request).await?.into_inner())
        })?;
        output::write_new(&self.out, &reply.evidence)?;
        for lack in &reply.lacks {
            output::say(format!("lacking: {lack}"));
        }
        if self.json {
            return output::json(&json!({
                "exchange_id": self.exchange_id.to_string(),
                "file": self.out,
                "bytes": reply.evidence.len(),
                "lacks": reply.lacks,
            }));
        }
        output::line(self.out.display());
        Ok(())
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
        let line = ["x", "019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60", "--dir", "d", "--out", "f"];
        Line::try_parse_from(line.iter().chain(extra)).map(|line| line.export)
    }

    #[test]
    fn parts_are_named_not_numbered() {
        let export = parse(&["--withhold", "case,subject"]).unwrap();
        assert_eq!(
            export.withhold.iter().map(|part| part.tag()).collect::<Vec<_>>(),
            [3, 7]
        );
        assert!(parse(&["--withhold", "core"]).is_err());
    }

    #[test]
    fn nobody_waits_for_hours() {
        assert_eq!(parse(&[]).unwrap().wait, Duration::from_secs(15));
        assert!(parse(&["--wait", "2h"]).is_err());
    }
}
