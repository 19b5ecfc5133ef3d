//! `jisr call`: a JSON request to a typed method of any service in the network, through the caller's own node.

mod codec;
mod connection;
mod door;
mod request;
mod sample;
mod schema;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jisr_proto::ident::MethodPath;
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::failure::{self, Failure};
use crate::fault::Fault;
use crate::{instant, output, protos, runtime};

/// Name of the metadata in which a node tells the exchange id.
const EXCHANGE_ID: &str = "jisr-exchange-id";

/// Call a method of any service in the network, from JSON to JSON, through your own node
///
/// The node decides who answers from the service's name alone and refuses what no agreement allows. The types come
/// from the node (server reflection) unless --proto or --descriptor-set is given. The reply goes to standard output,
/// the exchange id, by which `jisr evidence export` finds the proof, to standard error.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Call {
    /// Full name of the service and the method, `jo.residency.v1.ResidencePermits/CheckStatus`
    #[arg(value_name = "SERVICE/METHOD", value_parser = protos::method_path)]
    method: MethodPath,
    /// Request as JSON: the text itself, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    json_in: String,
    /// Give up after this long
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = instant::span)]
    timeout: Duration,
    /// Print one object {exchange_id, status, reply, error}, also when the call is refused
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: door::Door,
    #[command(flatten)]
    types: schema::Types,
    #[command(flatten)]
    says: request::Says,
}

const HELP: &str = "\
Examples:
  jisr call jo.residency.v1.ResidencePermits/CheckStatus --json-in @request.json \\
      --dir /var/lib/jisr --client JO/GOV/mol/permits --purpose work-permit-renewal \\
      --duty 'Labour Law, art. 12' --case 2026/114
  jisr call jo.health.v1.FitnessCertificates/Check --json-in @request.json --json \\
      --address node.mol.local:7401 --identity ./permits --purpose work-permit-renewal \\
      --duty 'Labour Law, art. 12'

Exit codes: 0 answered with OK · 1 answered with an error, refused, or nobody reached · 64 wrong usage, or JSON that \
does not fit the request type · 66 an input cannot be read · 70 this program or machine failed";

/// Makes the call and prints what came of it.
pub(crate) fn run(call: Call) -> Result<ExitCode, Failure> {
    runtime::block_on(call.run())
}

impl Call {
    async fn run(self) -> Result<ExitCode, Failure> {
        let door = self.door.open(self.says.client())?;
        let channel = door.connect().await?;
        let method = schema::method(&self.types, &self.method, &channel).await?;
        let message = request::message(&method, &self.json_in)?;
        let mut request = tonic::Request::new(message);
        self.says.write(request.metadata_mut())?;
        request.set_timeout(self.timeout);
        match tokio::time::timeout(self.timeout, send(channel, &method, request)).await {
            Ok(Ok(reply)) => self.answered(reply),
            Ok(Err(status)) => self.refused(&status),
            Err(_elapsed) => self.refused(&Status::deadline_exceeded("no answer came in time")),
        }
    }

    fn answered(&self, reply: Response<DynamicMessage>) -> Result<ExitCode, Failure> {
        let exchange_id = exchange_id(reply.metadata());
        let value = to_json(reply.get_ref())?;
        if self.json {
            output::json(&json!({"exchange_id": exchange_id, "status": "OK", "reply": value}))?;
        } else {
            output::json(&value)?;
            if let Some(id) = exchange_id {
                output::say(format!("exchange {id}"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn refused(&self, status: &Status) -> Result<ExitCode, Failure> {
        let exchange_id = exchange_id(status.metadata());
        let fault = Fault::read(status);
        if self.json {
            output::json(&json!({
                "exchange_id": exchange_id,
                "status": fault.code,
                "reply": Value::Null,
                "error": fault,
            }))?;
            return Ok(ExitCode::from(failure::REFUSED));
        }
        if let Some(id) = exchange_id {
            output::say(format!("exchange {id}"));
        }
        Err(fault.into())
    }
}

async fn send(
    channel: Channel,
    method: &MethodDescriptor,
    request: tonic::Request<DynamicMessage>,
) -> Result<Response<DynamicMessage>, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = path
        .parse()
        .map_err(|error| Status::internal(format!("no path: {error}")))?;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(REPLY_BYTES_MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.unary(request, path, codec::DynamicCodec::new(method.output()))
        .await
}

/// The largest message that a node can be configured to carry.
const REPLY_BYTES_MAX: usize = 1 << 30;

fn exchange_id(metadata: &tonic::metadata::MetadataMap) -> Option<String> {
    metadata
        .get(EXCHANGE_ID)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// The reply as canonical protobuf JSON; fields with default values are shown, since "false" is an answer.
fn to_json(reply: &DynamicMessage) -> Result<Value, Failure> {
    let options = SerializeOptions::new().skip_default_fields(false);
    reply
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| {
            Failure::refused(
                format!("the reply has no JSON form: {error}"),
                "the backend",
                "replies are messages of the published type",
                "report this to the provider, with the exchange id",
            )
        })
}
