//! Nodes of members: enrolled with a token, revoked.

use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_proto::ident::NodeId;
use jisr_proto::snapshot::{AdministrativeAct, RevocationOrder, TokenOrder};
use jisr_registry::administration;
use serde_json::json;

use super::signing::By;
use super::{Dir, EXIT_CODES};
use crate::failure::Failure;
use crate::{instant, output, runtime};

/// Make a one-time token with which a node of a member enrols
///
/// It stands alone on standard output; hand it over on a way that only the node's operator reads.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry token JO/GOV/mol/node/node1 --dir /var/lib/jisr-registry --administrator ./huda > token\n\n",
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
    #[command(flatten)]
    by: By,
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
    "      --administrator ./huda --reason key-compromise\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Revoke {
    /// `JO/GOV/mol/node/node1`
    #[arg(value_name = "NODE")]
    node: NodeId,
    #[command(flatten)]
    registry: Dir,
    /// Only this certificate of the node, by its SHA-256; may be given several times
    ///
    /// `openssl x509 -noout -fingerprint -sha256` prints it. A node that has another TLS certificate goes on with that.
    #[arg(long = "certificate", value_name = "SHA256", value_parser = fingerprint)]
    certificates: Vec<Fingerprint>,
    /// Why
    #[arg(long, value_enum, default_value = "unspecified")]
    reason: Reason,
    #[command(flatten)]
    by: By,
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fingerprint([u8; 32]);

/// Reads 64 hexadecimal digits, with colons or without.
fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let wrong = || "64 hexadecimal digits, with colons or without".to_owned();
    let digits: String = text.chars().filter(|it| *it != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(Fingerprint(bytes))
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

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let lifetime_s = self.lifetime.as_secs();
        // The secret is drawn here: the registry learns it from the node that enrols.
        let drawn = administration::draw_secret().map_err(|error| Failure::fault(error.to_string(), ""))?;
        let (secret, digest) = drawn;
        let order = TokenOrder {
            node: self.node.to_string(),
            token: Bytes::copy_from_slice(&digest),
            expires_us: SystemClock
                .now_us()
                .saturating_add(lifetime_s.saturating_mul(1_000_000)),
        };
        let act = AdministrativeAct {
            token: Some(order),
            ..AdministrativeAct::default()
        };
        let answer = runtime::block_on(self.by.does(&self.registry, act))?;
        let token = answer.token.ok_or_else(|| {
            Failure::fault(
                "the registry sent no token back",
                "compare the versions of jisr and registry",
            )
        })?;
        let token = administration::token_text(token, secret);
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
        let mut certificates = self.certificates;
        certificates.sort_unstable();
        certificates.dedup();
        let order = RevocationOrder {
            node: self.node.to_string(),
            certificates: certificates.iter().map(|it| Bytes::copy_from_slice(&it.0)).collect(),
            reason: self.reason.number(),
        };
        let act = AdministrativeAct {
            revocation: Some(order),
            ..AdministrativeAct::default()
        };
        let answer = runtime::block_on(self.by.does(&self.registry, act))?;
        let what = match certificates.len() {
            0 => format!("{} is", self.node),
            1 => format!("a certificate of {} is", self.node),
            count => format!("{count} certificates of {} are", self.node),
        };
        output::say(format!("{what} revoked as of snapshot {}", answer.snapshot_version));
        Ok(())
    }
}
