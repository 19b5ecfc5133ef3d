//! `jisr node publish`: a service of this member enters the catalogue.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use jisr_proto::admin::PublishServiceRequest;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::ident::{ServiceName, SubsystemId};
use serde_json::json;

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
    /// Withdraw the service from the catalogue instead
    #[arg(long)]
    withdraw: bool,
    /// Print one object {schema, snapshot_version}
    #[arg(long)]
    json: bool,
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
        };
        let reply = runtime::block_on(async {
            let channel = admin::connect(&self.node.dir, Server::Node).await?;
            Ok(AdminClient::new(channel).publish(request).await?.into_inner())
        })?;
        let schema = output::hex(&reply.schema);
        if self.json {
            return output::json(&json!({"schema": schema, "snapshot_version": reply.snapshot_version}));
        }
        output::line(schema);
        let done = if self.withdraw { "withdrawn from" } else { "listed in" };
        output::say(format!(
            "{} is {done} the catalogue as of snapshot {}",
            self.service, reply.snapshot_version
        ));
        Ok(())
    }
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
