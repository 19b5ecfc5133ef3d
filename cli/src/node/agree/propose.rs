//! `jisr node agree propose`: an agreement is written from the schemas as they are published.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{DescribeServiceRequest, DescribeServiceResponse};
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::canonical;
use jisr_proto::ident::{MethodPath, ServiceName, SubsystemId};
use jisr_proto::statement::{AgreedMethod, AgreedPurpose, Agreement};
use ring::rand::{SecureRandom, SystemRandom};
use tonic::transport::Channel;

use super::officer::Officer;
use super::terms::Terms;
use crate::failure::Failure;
use crate::node::Dir;
use crate::{output, protos};

/// A day in microseconds.
const DAY_US: u64 = 86_400 * 1_000_000;

/// Write an agreement, sign it, and put it to the other party
///
/// Schema digests, side effects and evidence classes are taken from the catalogue. The agreement is in force once an
/// officer of the other party has accepted it. Prints its digest.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Propose {
    #[command(flatten)]
    node: Dir,
    /// Subsystem that will ask
    #[arg(long, value_name = "SUBSYSTEM")]
    consumer: SubsystemId,
    /// Subsystem that will answer
    #[arg(long, value_name = "SUBSYSTEM")]
    provider: SubsystemId,
    /// What may be called; repeatable
    #[arg(long = "method", value_name = "SERVICE/METHOD", required = true, value_parser = protos::method_path)]
    methods: Vec<MethodPath>,
    /// What for, and on what legal basis; repeatable
    #[arg(long = "purpose", value_name = "CODE:LEGAL BASIS", required = true)]
    purposes: Vec<Purpose>,
    /// For how long, from now
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    valid_days: u64,
    /// Each call must bring a reference of the person's consent
    #[arg(long)]
    consent_required: bool,
    /// Calls a minute; 0: no limit of the agreement's own
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate_per_minute: u32,
    /// Persons a case; 0: no limit of the agreement's own
    #[arg(long, value_name = "N", default_value_t = 0)]
    subjects_per_case: u32,
    /// Print one object {digest, registered, snapshot_version}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    officer: Officer,
}

const HELP: &str = "\
Example:
  jisr node agree propose --dir /var/lib/jisr \\
      --consumer JO/GOV/mol/permits --provider JO/GOV/psd/residency \\
      --method jo.residency.v1.ResidencePermits/CheckStatus \\
      --purpose 'work-permit-renewal:Labour Law No. 8 of 1996, art. 12' \\
      --valid-days 365 --officer ./rania/cert.pem --key ./rania/key.pem

Exit codes: 0 proposed · 1 refused, or nobody reached · 64 wrong usage · 66 an input cannot be read · \
70 this program or machine failed";

/// One `--purpose`.
#[derive(Clone, Debug)]
struct Purpose {
    code: String,
    legal_basis: String,
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Purpose, String> {
        match text.split_once(':').map(|(code, basis)| (code.trim(), basis.trim())) {
            Some((code, basis)) if !code.is_empty() && !basis.is_empty() => Ok(Purpose {
                code: code.to_owned(),
                legal_basis: basis.to_owned(),
            }),
            _ => Err("write the code, a colon, and the legal basis".to_owned()),
        }
    }
}

impl Propose {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let officer = self.officer.read()?;
        let mut client = super::client(&self.node).await?;
        let document = canonical::encode(&self.agreement(&mut client).await?);
        output::say(Terms::read(&document)?);
        super::put(&mut client, officer.agree(document)?, self.json).await
    }

    async fn agreement(&self, client: &mut AdminClient<Channel>) -> Result<Agreement, Failure> {
        let mut services = BTreeMap::new();
        for path in &self.methods {
            if !services.contains_key(&path.service) {
                services.insert(
                    path.service.clone(),
                    Described::ask(client, &path.service, &self.provider).await?,
                );
            }
        }
        let pinned = self
            .methods
            .iter()
            .filter_map(|path| Some(services.get(&path.service)?.pin(path)));
        let methods = pinned.collect::<Result<Vec<AgreedMethod>, Failure>>()?;
        let now = SystemClock.now_us();
        Ok(Agreement {
            format: 1,
            instance: self.consumer.instance().to_string(),
            consumer: self.consumer.to_string(),
            provider: self.provider.to_string(),
            methods,
            purposes: self
                .purposes
                .iter()
                .map(|purpose| AgreedPurpose {
                    code: purpose.code.clone(),
                    legal_basis: purpose.legal_basis.clone(),
                })
                .collect(),
            consent_required: self.consent_required,
            rate_per_minute: self.rate_per_minute,
            subjects_per_case: self.subjects_per_case,
            valid_from_us: now,
            valid_until_us: now.saturating_add(self.valid_days.saturating_mul(DAY_US)),
            nonce: nonce()?.to_vec().into(),
        })
    }
}

/// 16 random bytes, by which two agreements with the same text differ.
fn nonce() -> Result<[u8; 16], Failure> {
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| {
        Failure::fault(
            "no random bytes",
            "check the operating system's random number generator",
        )
    })?;
    Ok(nonce)
}

/// A service as the catalogue has it.
struct Described {
    reply: DescribeServiceResponse,
    schema: ServiceSchema,
}

impl Described {
    async fn ask(
        client: &mut AdminClient<Channel>,
        service: &ServiceName,
        provider: &SubsystemId,
    ) -> Result<Described, Failure> {
        let request = DescribeServiceRequest {
            service: service.to_string(),
        };
        let reply = client.describe_service(request).await?.into_inner();
        if !reply
            .providers
            .iter()
            .any(|published| *published == provider.to_string())
        {
            return Err(Failure::usage(
                format!("{provider} does not publish {service}"),
                format!("its publishers are {}", reply.providers.join(", ")),
            ));
        }
        let schema = ServiceSchema::parse(&reply.schema, service.as_str()).map_err(|error| {
            Failure::refused(
                format!("the published schema of {service} cannot be used: {error}"),
                provider.to_string(),
                "a published schema is a complete FileDescriptorSet",
                "ask the publisher to publish it again",
            )
        })?;
        Ok(Described { reply, schema })
    }

    fn pin(&self, path: &MethodPath) -> Result<AgreedMethod, Failure> {
        let method = self.schema.method(path.method.as_str()).ok_or_else(|| {
            Failure::usage(
                format!("{} has no method {}", path.service, path.method),
                "look at the published schema",
            )
        })?;
        Ok(AgreedMethod {
            service: path.service.to_string(),
            method: path.method.to_string(),
            schema: self.reply.digest.clone(),
            mask: "*".into(),
            no_side_effects: method.no_side_effects,
            evidence_class: method.evidence_class as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_needs_its_legal_basis() {
        let purpose: Purpose = "renewal: Labour Law: art. 12".parse().unwrap();
        assert_eq!(
            (purpose.code.as_str(), purpose.legal_basis.as_str()),
            ("renewal", "Labour Law: art. 12")
        );
        for text in ["", "renewal", "renewal:", ":law", " : "] {
            assert!(text.parse::<Purpose>().is_err(), "{text}");
        }
    }
}
