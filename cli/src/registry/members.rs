//! Members and their nodes: admitted by one administrator, approved by another, enrolled with a token.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::registry::{AdmitRequest, ApproveRequest, IssueTokenRequest, RevokeNodeRequest};
use serde_json::json;

use super::{Dir, EXIT_CODES, client};
use crate::failure::Failure;
use crate::{instant, output, runtime};

/// Admit a member; a second administrator must approve it
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry admit JO/GOV/mol --dir /var/lib/jisr-registry --administrator Huda \\\n",
    "      --name-ar 'وزارة العمل' --name-en 'Ministry of Labour'\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Admit {
    /// `JO/GOV/mol`: instance, class, code
    #[arg(value_name = "MEMBER")]
    member: MemberId,
    #[command(flatten)]
    registry: Dir,
    /// Name in Arabic
    #[arg(long, value_name = "TEXT")]
    name_ar: String,
    /// Name in English
    #[arg(long, value_name = "TEXT")]
    name_en: String,
    /// Who admits; enters the registry's ledger
    #[arg(long, value_name = "NAME")]
    administrator: String,
}

/// Approve a member that another administrator admitted
///
/// The administrator must be another than the one who admitted it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry approve JO/GOV/mol --dir /var/lib/jisr-registry --administrator Samir\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Approve {
    /// `JO/GOV/mol`
    #[arg(value_name = "MEMBER")]
    member: MemberId,
    #[command(flatten)]
    registry: Dir,
    /// Who approves; enters the registry's ledger
    #[arg(long, value_name = "NAME")]
    administrator: String,
}

/// Make a one-time token with which a node of an approved member enrols
///
/// It stands alone on standard output; hand it over on a way that only the node's operator reads.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry token JO/GOV/mol/node/node1 --dir /var/lib/jisr-registry --administrator Huda > token\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Token {
    /// `JO/GOV/mol/node/node1`
    #[arg(value_name = "NODE")]
    node: NodeId,
    #[command(flatten)]
    registry: Dir,
    /// How long it can be used
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = instant::span)]
    lifetime: Duration,
    /// Who makes it; enters the registry's ledger
    #[arg(long, value_name = "NAME")]
    administrator: String,
    /// Print one object {node, token, lifetime_s}
    #[arg(long)]
    json: bool,
}

/// Revoke a node: its certificates end with the next snapshot
///
/// Other nodes refuse it as soon as the next snapshot reaches them, which is pushed at once.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry revoke JO/GOV/mol/node/node1 --dir /var/lib/jisr-registry \\\n",
    "      --administrator Huda --reason key-compromise\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Revoke {
    /// `JO/GOV/mol/node/node1`
    #[arg(value_name = "NODE")]
    node: NodeId,
    #[command(flatten)]
    registry: Dir,
    /// Why
    #[arg(long, value_enum, default_value = "unspecified")]
    reason: Reason,
    /// Who revokes; enters the registry's ledger
    #[arg(long, value_name = "NAME")]
    administrator: String,
}

/// Reasons of RFC 5280, section 5.3.1, that fit a node.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reason {
    /// None given
    Unspecified,
    /// A private key is, or may be, in other hands
    KeyCompromise,
    /// The node now belongs to somebody else
    AffiliationChanged,
    /// Another node takes its place
    Superseded,
    /// The node is shut down for good
    CessationOfOperation,
}

impl Reason {
    /// Number in RFC 5280.
    fn number(self) -> u32 {
        match self {
            Reason::Unspecified => 0,
            Reason::KeyCompromise => 1,
            Reason::AffiliationChanged => 3,
            Reason::Superseded => 4,
            Reason::CessationOfOperation => 5,
        }
    }
}

impl Admit {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = AdmitRequest {
            member: self.member.to_string(),
            name_ar: self.name_ar,
            name_en: self.name_en,
            administrator: self.administrator,
        };
        runtime::block_on(async { Ok(client(&self.registry).await?.admit(request).await.map(drop)?) })?;
        output::say(format!(
            "{} is admitted; now another administrator approves it: jisr registry approve",
            self.member
        ));
        Ok(())
    }
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = ApproveRequest {
            member: self.member.to_string(),
            administrator: self.administrator,
        };
        runtime::block_on(async { Ok(client(&self.registry).await?.approve(request).await.map(drop)?) })?;
        output::say(format!(
            "{} is a member; its nodes may enrol: jisr registry token",
            self.member
        ));
        Ok(())
    }
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let lifetime_s = self.lifetime.as_secs();
        let request = IssueTokenRequest {
            node: self.node.to_string(),
            lifetime_s,
            administrator: self.administrator,
        };
        let token = runtime::block_on(async {
            Ok(client(&self.registry)
                .await?
                .issue_token(request)
                .await?
                .into_inner()
                .token)
        })?;
        if self.json {
            let node = self.node.to_string();
            return output::json(&json!({"node": node, "token": token, "lifetime_s": lifetime_s}));
        }
        output::line(token);
        Ok(())
    }
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = RevokeNodeRequest {
            node: self.node.to_string(),
            reason: self.reason.number(),
            administrator: self.administrator,
        };
        let reply =
            runtime::block_on(async { Ok(client(&self.registry).await?.revoke_node(request).await?.into_inner()) })?;
        output::say(format!(
            "{} is revoked as of snapshot {}",
            self.node, reply.snapshot_version
        ));
        Ok(())
    }
}
