//! `jisr node agree`: agreements, from the proposal to the revocation.

pub(super) mod officer;
mod propose;
mod terms;

use clap::{Args, Subcommand};
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{AgreeRequest, Proposal, ProposalsRequest, RevokeAgreementRequest};
use serde_json::json;
use tonic::transport::Channel;

use self::officer::Officer;
use self::terms::Terms;
use super::Dir;
use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::{output, runtime};

/// Commands on agreements.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Propose(Box<propose::Propose>),
    List(List),
    Accept(Accept),
    Revoke(Revoke),
}

/// List agreements of this member that wait for a yes, with their terms
#[derive(Debug, Args)]
#[command(after_long_help = HELP_LIST)]
pub(crate) struct List {
    #[command(flatten)]
    node: Dir,
    /// Print one array of objects
    #[arg(long)]
    json: bool,
}

const HELP_LIST: &str = "\
Example:
  jisr node agree list --dir /var/lib/jisr

Exit codes: 0 done · 1 refused, or nobody reached · 64 wrong usage · 70 this program or machine failed";

/// Read an agreement that was proposed, sign it, and so conclude it
///
/// Shows the terms. What is signed is the document that was proposed, byte for byte; its digest is recomputed here.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_ACCEPT)]
pub(crate) struct Accept {
    /// Digest of the agreement in hex, or its first 8 digits or more
    #[arg(value_name = "DIGEST")]
    digest: String,
    #[command(flatten)]
    node: Dir,
    /// Print one object {digest, registered, snapshot_version}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    officer: Officer,
}

const HELP_ACCEPT: &str = "\
Example:
  jisr node agree list --dir /var/lib/jisr
  jisr node agree accept 4be0c1a9 --dir /var/lib/jisr --officer ./rania/cert.pem --key ./rania/key.pem

Exit codes: 0 signed · 1 refused, or nobody reached · 64 wrong usage, or no such proposal · 66 an input cannot be read \
· 70 this program or machine failed";

/// End an agreement that this member is party to
///
/// The next call under it is refused on both sides once the news has arrived there.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_REVOKE)]
pub(crate) struct Revoke {
    /// Digest of the agreement, 64 hex digits
    #[arg(value_name = "DIGEST")]
    digest: String,
    #[command(flatten)]
    node: Dir,
    /// Why; enters the registry's ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

const HELP_REVOKE: &str = "\
Example:
  jisr node agree revoke 4be0c1a9… --dir /var/lib/jisr --reason 'the permit system was replaced'

Exit codes: 0 revoked · 1 refused, or nobody reached · 64 wrong usage · 70 this program or machine failed";

/// Does what the command says.
pub(super) fn run(command: Command) -> Result<(), Failure> {
    runtime::block_on(async {
        match command {
            Command::Propose(propose) => propose.run().await,
            Command::List(list) => list.run().await,
            Command::Accept(accept) => accept.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    })
}

async fn client(node: &Dir) -> Result<AdminClient<Channel>, Failure> {
    admin::connect(&node.dir, Server::Node).await.map(AdminClient::new)
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let proposals = client(&self.node)
            .await?
            .proposals(ProposalsRequest {})
            .await?
            .into_inner()
            .proposals;
        let read = proposals
            .iter()
            .map(|proposal| Ok((Terms::read(&proposal.document)?, &proposal.agreed)));
        let read: Vec<(Terms, &Vec<String>)> = read.collect::<Result<_, Failure>>()?;
        if self.json {
            let objects = read
                .iter()
                .map(|(terms, agreed)| terms.object(agreed))
                .collect::<Vec<_>>();
            return output::json(&objects);
        }
        for (terms, agreed) in &read {
            output::line(terms);
            output::line(format!("  signed by     {}\n", agreed.join(", ")));
        }
        if read.is_empty() {
            output::say("no agreement waits for a yes");
        }
        Ok(())
    }
}

impl Accept {
    async fn run(self) -> Result<(), Failure> {
        let officer = self.officer.read()?;
        let mut client = client(&self.node).await?;
        let proposals = client.proposals(ProposalsRequest {}).await?.into_inner().proposals;
        let proposal = chosen(&proposals, &self.digest)?;
        let terms = Terms::read(&proposal.document)?;
        output::say(&terms);
        let request = officer.agree(proposal.document.clone())?;
        put(&mut client, request, self.json).await
    }
}

impl Revoke {
    async fn run(self) -> Result<(), Failure> {
        let digest = output::unhex(&self.digest)
            .filter(|digest| digest.len() == 32)
            .ok_or_else(|| {
                Failure::usage(
                    format!("{:?} is no digest", self.digest),
                    "write all 64 hex digits, as `agree propose` printed them",
                )
            })?;
        let request = RevokeAgreementRequest {
            digest: digest.into(),
            reason: self.reason,
        };
        let reply = client(&self.node).await?.revoke_agreement(request).await?.into_inner();
        output::say(format!("revoked as of snapshot {}", reply.snapshot_version));
        Ok(())
    }
}

/// Puts an officer's yes to the node, and prints the digest on standard output.
async fn put(client: &mut AdminClient<Channel>, request: AgreeRequest, as_json: bool) -> Result<(), Failure> {
    let reply = client.agree(request).await?.into_inner();
    let digest = output::hex(&reply.digest);
    if as_json {
        let registered = reply.registered;
        return output::json(
            &json!({"digest": digest, "registered": registered, "snapshot_version": reply.snapshot_version}),
        );
    }
    output::line(digest);
    match reply.registered {
        true => output::say(format!(
            "both parties have signed; in force as of snapshot {}",
            reply.snapshot_version
        )),
        false => output::say("signed; it waits for the other party: jisr node agree accept"),
    }
    Ok(())
}

/// The one proposal whose digest begins with `prefix`.
fn chosen<'a>(proposals: &'a [Proposal], prefix: &str) -> Result<&'a Proposal, Failure> {
    if prefix.len() < 8 {
        return Err(Failure::usage(
            format!("{prefix:?} is too short for a digest"),
            "write at least 8 hex digits",
        ));
    }
    let prefix = prefix.to_ascii_lowercase();
    // The digest is taken from the document, not from what stands beside it: it is the document that is signed.
    let mut found = proposals
        .iter()
        .filter(|proposal| output::hex(&terms::digest(&proposal.document)).starts_with(&prefix));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::usage(
            format!("no agreement that begins with {prefix} waits for a yes"),
            "see what waits: jisr node agree list; a concluded agreement needs no further yes",
        )),
        (Some(_), Some(_)) => Err(Failure::usage(
            format!("{prefix} fits several agreements"),
            "write more digits",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(document: &'static [u8]) -> Proposal {
        Proposal {
            digest: Default::default(),
            document: document.into(),
            agreed: vec![],
        }
    }

    #[test]
    fn a_proposal_is_chosen_by_the_digest_of_its_document() {
        let proposals = [proposal(b"one"), proposal(b"two")];
        let digest = output::hex(&terms::digest(b"two"));
        assert_eq!(chosen(&proposals, &digest[..12]).unwrap().document, b"two".as_slice());
        assert_eq!(
            chosen(&proposals, &digest.to_uppercase()).unwrap().document,
            b"two".as_slice()
        );
        assert!(chosen(&proposals, &digest[..7]).is_err());
        assert!(chosen(&proposals, "0000000000000000").is_err());
        let twice = [proposal(b"two"), proposal(b"two")];
        assert!(chosen(&twice, &digest).is_err());
    }
}
