//! `jisr node erase`, `hold`, `holds`, `release`, `payload`: what was kept of exchanges is destroyed, protected, or shown.

mod holds;
mod paper;

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use jisr_certs::officer::Document;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{EraseRequest, HoldRequest, PayloadRequest, ProposeErasureRequest, ReleaseRequest};
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Hold as HoldDocument, Release as ReleaseDocument};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use tonic::transport::Channel;

pub(crate) use self::holds::Holds;
use self::paper::Paper;
use super::Dir;
use super::agree::officer::Officer;
use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::role::Role;
use crate::{instant, output, runtime};

/// Steps of an act that two officers approve.
#[derive(Debug, Subcommand)]
pub(crate) enum Erase {
    Propose(ProposeErasure),
    Sign(Sign),
    Submit(Submit),
}

/// Steps of ending a hold, which two officers approve.
#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    Propose(ProposeRelease),
    Sign(Sign),
    Submit(Submit),
}

/// Write the document of an erasure: which parts of which exchanges
///
/// Erasing destroys a part and its salt for good. Every proof stays valid; the part shows as erased.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_PROPOSE)]
pub(crate) struct ProposeErasure {
    #[command(flatten)]
    node: Dir,
    /// Exchange; may be given several times
    #[arg(long = "exchange", value_name = "ID", required = true)]
    exchanges: Vec<ExchangeId>,
    /// Parts, separated by commas: purpose, case, officer, consent, duty, subject, payload, stored-payload, all
    #[arg(long, value_name = "PARTS", value_delimiter = ',', required = true)]
    parts: Vec<String>,
    /// Why; enters the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const HELP_PROPOSE: &str = "\
Example:
  jisr node erase propose --dir /var/lib/jisr --exchange 0198… --parts case,subject --reason 'order 12/2026' --out erase.json
  jisr node erase sign erase.json --officer ./rania
  jisr node erase sign erase.json --officer ./sami
  jisr node erase submit erase.json --dir /var/lib/jisr

Exit codes: 0 written · 1 refused, or nobody reached · 64 wrong usage · 70 this program or machine failed";

/// Add an officer's approval to a document
#[derive(Debug, Args)]
#[command(after_long_help = HELP_SIGN)]
pub(crate) struct Sign {
    /// File that `propose` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    officer: Officer,
}

const HELP_SIGN: &str = "\
Example:
  jisr node erase sign erase.json --officer ./rania

Exit codes: 0 signed · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// Hand an approved document to the node, which carries it out
#[derive(Debug, Args)]
#[command(after_long_help = HELP_SUBMIT)]
pub(crate) struct Submit {
    /// File that two officers signed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    node: Dir,
    /// Print one object with the index of the statement in the ledger
    #[arg(long)]
    json: bool,
}

const HELP_SUBMIT: &str = "\
Example:
  jisr node erase submit erase.json --dir /var/lib/jisr

Exit codes: 0 done · 1 refused, or nobody reached · 64 wrong usage · 66 an input cannot be read \
· 70 this program or machine failed";

/// Forbid that exchanges are erased, by the word of one officer
#[derive(Debug, Args)]
#[command(after_long_help = HELP_HOLD)]
pub(crate) struct Hold {
    #[command(flatten)]
    node: Dir,
    /// Exchange; may be given several times
    #[arg(long = "exchange", value_name = "ID")]
    exchanges: Vec<ExchangeId>,
    /// Everything from this instant on, RFC 3339
    #[arg(long, value_name = "TIME", requires = "until")]
    from: Option<String>,
    /// Everything before this instant
    #[arg(long, value_name = "TIME", requires = "from")]
    until: Option<String>,
    /// Why; enters the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print one object {digest, index}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    officer: Officer,
}

const HELP_HOLD: &str = "\
Prints the digest of the hold, by which it is ended.

Example:
  jisr node hold --dir /var/lib/jisr --exchange 0198… --reason 'case 7 of the court of Amman' --officer ./rania

Exit codes: 0 held · 1 refused, or nobody reached · 64 wrong usage · 66 an input cannot be read \
· 70 this program or machine failed";

/// Write the document that ends a hold
#[derive(Debug, Args)]
#[command(after_long_help = HELP_RELEASE)]
pub(crate) struct ProposeRelease {
    /// Digest of the hold, 64 hex digits
    #[arg(value_name = "HOLD")]
    hold: String,
    /// Why; enters the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const HELP_RELEASE: &str = "\
Example:
  jisr node release propose 4be0c1a9… --reason 'the judgment is final' --out release.json
  jisr node release sign release.json --officer ./rania
  jisr node release sign release.json --officer ./sami
  jisr node release submit release.json --dir /var/lib/jisr

Exit codes: 0 written · 64 wrong usage · 70 this program or machine failed";

/// Show the request or reply of an exchange, where its method asks for messages to be kept
#[derive(Debug, Args)]
#[command(after_long_help = HELP_PAYLOAD)]
pub(crate) struct Payload {
    /// Exchange
    #[arg(value_name = "ID")]
    exchange: ExchangeId,
    #[command(flatten)]
    node: Dir,
    /// The reply; otherwise the request
    #[arg(long)]
    reply: bool,
    /// In which the node asked, or was asked; needed where a peer asked back under the id of one that it asked
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// File to write, readable by its owner only
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const HELP_PAYLOAD: &str = "\
The message has been compared with the commitment in the ledger.

Example:
  jisr node payload 0198… --dir /var/lib/jisr --reply --out reply.bin

Exit codes: 0 written · 1 refused, or nobody reached · 64 wrong usage · 70 this program or machine failed";

async fn client(node: &Dir) -> Result<AdminClient<Channel>, Failure> {
    admin::connect(&node.dir, Server::Node).await.map(AdminClient::new)
}

impl Erase {
    /// Does what the command says.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Erase::Propose(propose) => runtime::block_on(propose.run()),
            Erase::Sign(sign) => sign.run(Document::Erasure),
            Erase::Submit(submit) => runtime::block_on(submit.run(Document::Erasure)),
        }
    }
}

impl Release {
    /// Does what the command says.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Release::Propose(propose) => propose.run(),
            Release::Sign(sign) => sign.run(Document::Release),
            Release::Submit(submit) => runtime::block_on(submit.run(Document::Release)),
        }
    }
}

/// Numbers of the parts, ascending.
fn tags(parts: &[String]) -> Result<Vec<u8>, Failure> {
    let mut tags = Vec::new();
    for part in parts {
        let named: &[u8] = match part.as_str() {
            "purpose" => &[2],
            "case" => &[3],
            "officer" => &[4],
            "consent" => &[5],
            "duty" => &[6],
            "subject" => &[7],
            "payload" => &[8],
            "stored-payload" => &[128],
            "all" => &[2, 3, 4, 5, 6, 7, 8],
            _ => {
                return Err(Failure::usage(
                    format!("{part:?} is no part that can be erased"),
                    "name purpose, case, officer, consent, duty, subject, payload, stored-payload or all",
                ));
            }
        };
        tags.extend_from_slice(named);
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}

fn bytes_of(exchanges: &[ExchangeId]) -> Vec<Bytes> {
    let mut ids: Vec<ExchangeId> = exchanges.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect()
}

impl ProposeErasure {
    async fn run(self) -> Result<(), Failure> {
        let request = ProposeErasureRequest {
            exchanges: bytes_of(&self.exchanges),
            tags: tags(&self.parts)?.into(),
            reason: self.reason,
        };
        let reply = client(&self.node).await?.propose_erasure(request).await?.into_inner();
        let paper = Paper::new(Document::Erasure, reply.erasure);
        paper.write_new(&self.out)?;
        output::say(paper.terms()?);
        output::line(output::hex(&paper.digest()));
        Ok(())
    }
}

impl ProposeRelease {
    fn run(self) -> Result<(), Failure> {
        let hold = output::unhex(&self.hold)
            .filter(|digest| digest.len() == 32)
            .ok_or_else(|| {
                Failure::usage(
                    format!("{:?} is no digest", self.hold),
                    "write all 64 hex digits, as `jisr node hold` printed them",
                )
            })?;
        let document = ReleaseDocument {
            format: 1,
            hold: hold.into(),
            reason: self.reason,
        };
        let paper = Paper::new(Document::Release, canonical::encode(&document));
        paper.write_new(&self.out)?;
        output::line(output::hex(&paper.digest()));
        Ok(())
    }
}

impl Sign {
    fn run(self, what: Document) -> Result<(), Failure> {
        let officer = self.officer.read()?;
        let mut paper = Paper::read(&self.file, what)?;
        output::say(paper.terms()?);
        paper.check_signer(&officer.member()?)?;
        paper.add(officer.approve(what, paper.document())?)?;
        paper.replace(&self.file)?;
        output::say(format!(
            "signed; {} approvals so far, 2 are needed",
            paper.approvals().len()
        ));
        Ok(())
    }
}

impl Submit {
    async fn run(self, what: Document) -> Result<(), Failure> {
        let paper = Paper::read(&self.file, what)?;
        let (document, approvals) = (paper.document().clone(), paper.approvals().to_vec());
        let mut client = client(&self.node).await?;
        let (index, parts) = match what {
            Document::Erasure => {
                let erasure = document;
                let reply = client.erase(EraseRequest { erasure, approvals }).await?.into_inner();
                (reply.index, Some(reply.parts))
            }
            _ => {
                let release = document;
                let reply = client
                    .release(ReleaseRequest { release, approvals })
                    .await?
                    .into_inner();
                (reply.index, None)
            }
        };
        if self.json {
            return output::json(&json!({"index": index, "parts": parts}));
        }
        output::line(index);
        match parts {
            Some(parts) => output::say(format!("{parts} parts are erased; entry {index} of the ledger says so")),
            None => output::say(format!("the hold is ended; entry {index} of the ledger says so")),
        }
        Ok(())
    }
}

impl Hold {
    /// Does what the command says.
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime::block_on(self.put())
    }

    async fn put(self) -> Result<(), Failure> {
        let officer = self.officer.read()?;
        let time = |text: &Option<String>| text.as_deref().map_or(Ok(0), instant::parse);
        let (from_us, until_us) = (time(&self.from)?, time(&self.until)?);
        if self.exchanges.is_empty() && from_us >= until_us {
            return Err(Failure::usage(
                "nothing is named that could be held",
                "name exchanges with --exchange, or a time with --from and --until",
            ));
        }
        let mut nonce = [0; 16];
        SystemRandom::new().fill(&mut nonce).map_err(|_| {
            Failure::fault(
                "the system gives no random numbers".to_owned(),
                "check the operating system's random number generator",
            )
        })?;
        let mut client = client(&self.node).await?;
        let status = client.status(jisr_proto::admin::StatusRequest {}).await?.into_inner();
        let document = canonical::encode(&HoldDocument {
            format: 1,
            origin: status.origin,
            exchanges: bytes_of(&self.exchanges),
            from_us,
            until_us,
            reason: self.reason,
            nonce: Bytes::copy_from_slice(&nonce),
        });
        let approvals = vec![officer.approve(Document::Hold, &document)?];
        let reply = client
            .hold(HoldRequest {
                hold: document,
                approvals,
            })
            .await?
            .into_inner();
        let digest = output::hex(&reply.digest);
        if self.json {
            return output::json(&json!({"digest": digest, "index": reply.index}));
        }
        output::line(digest);
        output::say("held; it ends by: jisr node release");
        Ok(())
    }
}

impl Payload {
    /// Does what the command says.
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime::block_on(async {
            let request = PayloadRequest {
                exchange_id: Bytes::copy_from_slice(self.exchange.as_bytes()),
                reply: self.reply,
                role: Role::number(self.role),
            };
            let reply = client(&self.node).await?.payload(request).await?.into_inner();
            output::write_secret(&self.out, &reply.payload)?;
            output::say(format!("{} bytes, as the ledger commits to them", reply.payload.len()));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_by_words() {
        let tags = |words: &[&str]| tags(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(tags(&["subject", "case", "case"]).unwrap(), [3, 7]);
        assert_eq!(tags(&["stored-payload"]).unwrap(), [128]);
        assert_eq!(tags(&["all"]).unwrap(), [2, 3, 4, 5, 6, 7, 8]);
        assert!(tags(&["core"]).is_err());
    }
}
