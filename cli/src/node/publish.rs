//! `jisr node publish`: a service of this member enters the catalogue.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{ArgGroup, Args, ValueEnum};
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{AffectedAgreement, PublishServiceRequest};
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::snapshot::Listing;
use jisr_proto::v1::Classification;
use serde_json::{Value, json};

use super::Dir;
use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::{output, protos, runtime};

/// Publish, or withdraw, a service of this member
///
/// Its schema and its titles enter the network's catalogue, under a subsystem of this member.
/// The server that runs it is named in node.toml, under `[[backend]]`. Nobody may call it before an agreement allows it.
/// jisr/v1/annotations.proto and Google's well-known types are built in.
#[derive(Debug, Args)]
#[command(after_long_help = HELP, group(ArgGroup::new("schema").required(true).args(["proto", "descriptor_set", "withdraw"])))]
pub(crate) struct Publish {
    #[command(flatten)]
    node: Dir,
    /// Subsystem that publishes
    #[arg(long, value_name = "SUBSYSTEM")]
    subsystem: SubsystemId,
    /// Full name of the service
    #[arg(long, value_name = "NAME")]
    service: ServiceName,
    /// .proto file that defines it; repeatable
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// Directory in which imports are looked up; repeatable [default: beside the files]
    #[arg(long, value_name = "DIR", requires = "proto")]
    include: Vec<PathBuf>,
    /// FileDescriptorSet with all imports, instead of .proto files
    #[arg(long, value_name = "FILE")]
    descriptor_set: Option<PathBuf>,
    /// Title in Arabic [default: the option jisr.v1.title_ar of the service]
    #[arg(long, value_name = "TEXT", default_value = "")]
    title_ar: String,
    /// Title in English [default: the option jisr.v1.title_en of the service]
    #[arg(long, value_name = "TEXT", default_value = "")]
    title_en: String,
    #[command(flatten)]
    listing: ListingArgs,
    /// Only say what publishing, or withdrawing, would break; nothing is published
    #[arg(long)]
    check: bool,
    /// Withdraw the service from the catalogue instead
    #[arg(long)]
    withdraw: bool,
    /// Print one object {schema, version, snapshot_version, affected}
    #[arg(long)]
    json: bool,
}

/// What the catalogue says of the service besides its titles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Catalogue")]
struct ListingArgs {
    /// Version of the publication, MAJOR.MINOR.PATCH [default: 1.0.0, then the next minor one]
    #[arg(long, value_name = "VERSION", default_value = "")]
    publication_version: String,
    /// How its data is classified [default: as its highest field]
    #[arg(long, value_name = "CLASS", value_enum)]
    classification: Option<Class>,
    /// What it is, in Arabic
    #[arg(long, value_name = "TEXT", default_value = "")]
    text_ar: String,
    /// What it is, in English; needs the Arabic text
    #[arg(long, value_name = "TEXT", default_value = "")]
    text_en: String,
    /// When it can be called, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    availability: String,
    /// Promised availability in percent, for example 99.9
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    availability_target: u32,
    /// Whom to ask about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    contact: String,
}

/// Classifications, as the command line names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Class {
    /// May be shown to anybody
    Public,
    /// Relates to persons
    Personal,
    /// Personal, and protected further
    Sensitive,
}

/// Thousandths of a percent.
fn percent(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no percentage between 0 and 100 with at most three decimals");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty()
        || decimals.is_empty()
        || decimals.len() > 3
        || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(wrong());
    }
    let number: u32 = format!("{whole}{decimals:0<3}").parse().map_err(|_| wrong())?;
    if number <= 100_000 { Ok(number) } else { Err(wrong()) }
}

impl From<ListingArgs> for Listing {
    fn from(args: ListingArgs) -> Listing {
        let class = args.classification.map(|class| match class {
            Class::Public => Classification::Public,
            Class::Personal => Classification::Personal,
            Class::Sensitive => Classification::Sensitive,
        });
        Listing {
            version: args.publication_version,
            classification: class.unwrap_or(Classification::Unspecified) as u32,
            text_ar: args.text_ar,
            text_en: args.text_en,
            availability: args.availability,
            availability_target: args.availability_target,
            contact: args.contact,
        }
    }
}

const HELP: &str = "\
Example:
  jisr node publish --dir /var/lib/jisr --subsystem JO/GOV/psd/residency \\
      --service jo.residency.v1.ResidencePermits --proto protos/jo/residency/v1/residency.proto --include protos

Prints the digest of the schema. Exit codes: 0 published · 1 refused by the node or the registry · 64 wrong usage · \
66 an input cannot be read · 70 this program or machine failed";

impl Publish {
    pub(super) fn run(self) -> Result<(), Failure> {
        let schema = match &self.descriptor_set {
            _ if self.withdraw => Vec::new(),
            Some(file) => protos::read_set(file)?,
            None => protos::compile(&self.proto, &self.include)?,
        };
        if !self.withdraw {
            self.check(&schema)?;
        }
        let request = PublishServiceRequest {
            provider: self.subsystem.to_string(),
            service: self.service.to_string(),
            schema: Bytes::from(schema),
            title_ar: self.title_ar,
            title_en: self.title_en,
            withdraw: self.withdraw,
            listing: Some(self.listing.into()),
            check: self.check,
        };
        let reply = runtime::block_on(async {
            let channel = admin::connect(&self.node.dir, Server::Node).await?;
            Ok(AdminClient::new(channel).publish(request).await?.into_inner())
        })?;
        let schema = output::hex(&reply.schema);
        if self.json {
            let affected: Vec<Value> = reply.affected.iter().map(affected_json).collect();
            output::json(&json!({
                "schema": schema,
                "version": reply.version,
                "snapshot_version": reply.snapshot_version,
                "affected": affected,
            }))?;
            return broken(self.check, reply.affected.len());
        }
        if self.check {
            for row in &reply.affected {
                output::line(format!("{} {}", output::hex(&row.agreement), row.consumer));
                for text in &row.breaks {
                    output::line(format!("    {}", output::printable(text)));
                }
            }
            broken(true, reply.affected.len())?;
            output::say(format!(
                "nothing that is agreed would be broken; it would be version {}",
                reply.version
            ));
            return Ok(());
        }
        output::line(schema);
        let done = if self.withdraw { "withdrawn from" } else { "listed in" };
        output::say(format!(
            "{} {} is {done} the catalogue as of snapshot {}",
            self.service, reply.version, reply.snapshot_version
        ));
        Ok(())
    }
}

fn affected_json(row: &AffectedAgreement) -> Value {
    json!({"agreement": output::hex(&row.agreement), "consumer": row.consumer, "breaks": row.breaks})
}

/// A check that finds something broken is no success.
fn broken(check: bool, count: usize) -> Result<(), Failure> {
    if !check || count == 0 {
        return Ok(());
    }
    Err(Failure::refused(
        format!("it would break {count} agreements in force"),
        "you, the caller",
        "what agreements in force rest on is not broken",
        "keep what they rest on, revoke them first, or publish under another name",
    ))
}

impl Publish {
    /// Says here what the registry would say: with the publisher's own files at hand it is sooner mended.
    fn check(&self, schema: &[u8]) -> Result<(), Failure> {
        let checked = ServiceSchema::parse(schema, self.service.as_str()).and_then(|schema| {
            schema.titles(&self.title_ar, &self.title_en)?;
            schema.check_classified()
        });
        checked.map_err(|error| Failure::Unreadable {
            what: format!("{} cannot be published: {error}", self.service),
            remedy: "correct the .proto file; jisr/v1/annotations.proto explains the options".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_exactly() {
        for (text, number) in [
            ("0", 0),
            ("99.9", 99_900),
            ("100", 100_000),
            ("99.999", 99_999),
            ("1.05", 1050),
        ] {
            assert_eq!(percent(text), Ok(number), "{text}");
        }
        for text in ["", "100.001", "-1", "99.9999", "99,9", "1e2", "99.", ".9.9"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
