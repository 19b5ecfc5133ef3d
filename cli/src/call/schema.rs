//! The types of a method: from .proto files, from a descriptor set, or from the node by server reflection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use jisr_proto::ident::MethodPath;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Status;
use tonic::transport::Channel;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::failure::Failure;
use crate::fault::Fault;
use crate::protos;

/// Files that one service may need. More is no schema but an attack.
const FILES_MAX: usize = 1024;
/// Rounds of questions; each asks for all files that are still missing.
const ROUNDS_MAX: usize = 64;

/// Where the types come from; without any of these, from the node.
#[derive(Debug, Args)]
#[command(next_help_heading = "Types")]
pub(super) struct Types {
    /// .proto file that defines the service, instead of asking the node
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// Directory in which imports of --proto are looked up
    #[arg(long, value_name = "DIR", requires = "proto")]
    include: Vec<PathBuf>,
    /// File with a FileDescriptorSet, instead of asking the node
    #[arg(long, value_name = "FILE", conflicts_with = "proto")]
    descriptor_set: Option<PathBuf>,
}

/// The method with its types. Methods that stream are refused.
pub(super) async fn method(types: &Types, path: &MethodPath, channel: &Channel) -> Result<MethodDescriptor, Failure> {
    let pool = match &types.descriptor_set {
        Some(file) => protos::pool(&protos::read_set(file)?)?,
        None if types.proto.is_empty() => reflect(channel.clone(), path).await?,
        None => protos::pool(&protos::compile(&types.proto, &types.include)?)?,
    };
    let service = pool.get_service_by_name(path.service.as_str()).ok_or_else(|| {
        Failure::usage(
            format!("there is no service {} in these types", path.service),
            "name the file that defines it",
        )
    })?;
    let method = service
        .methods()
        .find(|method| method.name() == path.method.as_str())
        .ok_or_else(|| {
            let names: Vec<String> = service.methods().map(|method| method.name().to_owned()).collect();
            Failure::usage(
                format!("{} has no method {}", path.service, path.method),
                format!("its methods are {}", names.join(", ")),
            )
        })?;
    if method.is_client_streaming() || method.is_server_streaming() {
        return Err(Failure::usage(
            format!("{} streams; this command makes unary calls", method.full_name()),
            "call it with a generated stub or with grpcurl",
        ));
    }
    Ok(method)
}

/// Asks the node for the file that defines the service, then for what that imports, until nothing is missing.
async fn reflect(channel: Channel, path: &MethodPath) -> Result<DescriptorPool, Failure> {
    let mut client = ServerReflectionClient::new(channel);
    let mut files = BTreeMap::new();
    let mut ask = vec![MessageRequest::FileContainingSymbol(path.service.to_string())];
    for _ in 0..ROUNDS_MAX {
        let answers = files_for(&mut client, ask)
            .await
            .map_err(|status| unknown(&status, path))?;
        for file in answers {
            files.insert(file.name().to_owned(), file);
        }
        ask = missing(&files)
            .into_iter()
            .map(MessageRequest::FileByFilename)
            .collect();
        if ask.is_empty() || files.len() > FILES_MAX {
            break;
        }
    }
    if !ask.is_empty() || files.len() > FILES_MAX {
        return Err(bad_types("imports never end"));
    }
    in_order(files)
}

async fn files_for(
    client: &mut ServerReflectionClient<Channel>,
    ask: Vec<MessageRequest>,
) -> Result<Vec<FileDescriptorProto>, Status> {
    let asked = ask.len();
    let requests = ask.into_iter().map(|message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    });
    let requests: Vec<ServerReflectionRequest> = requests.collect();
    let mut replies = client
        .server_reflection_info(tokio_stream::iter(requests))
        .await?
        .into_inner();
    let mut files = Vec::new();
    for _ in 0..asked {
        let reply = replies.message().await?.and_then(|reply| reply.message_response);
        match reply {
            Some(MessageResponse::FileDescriptorResponse(found)) => {
                for bytes in found.file_descriptor_proto {
                    let file = FileDescriptorProto::decode(bytes.as_slice());
                    files.push(file.map_err(|error| Status::data_loss(format!("reflection: {error}")))?);
                }
            }
            Some(MessageResponse::ErrorResponse(error)) => {
                return Err(Status::new(error.error_code.into(), error.error_message));
            }
            _ => return Err(Status::data_loss("reflection: the node did not answer the question")),
        }
    }
    Ok(files)
}

/// Names that are imported, but not there.
fn missing(files: &BTreeMap<String, FileDescriptorProto>) -> BTreeSet<String> {
    let imports = files.values().flat_map(|file| &file.dependency);
    imports.filter(|name| !files.contains_key(*name)).cloned().collect()
}

/// Builds the pool, each file after the files it imports.
fn in_order(mut files: BTreeMap<String, FileDescriptorProto>) -> Result<DescriptorPool, Failure> {
    let mut pool = DescriptorPool::new();
    while !files.is_empty() {
        let ready: Vec<String> = files
            .values()
            .filter(|file| file.dependency.iter().all(|name| !files.contains_key(name)))
            .map(|file| file.name().to_owned())
            .collect();
        if ready.is_empty() {
            return Err(bad_types("files import each other"));
        }
        for file in ready.iter().filter_map(|name| files.remove(name)) {
            pool.add_file_descriptor_proto(file)
                .map_err(|error| bad_types(&error.to_string()))?;
        }
    }
    Ok(pool)
}

fn bad_types(why: &str) -> Failure {
    Failure::refused(
        format!("the node's types cannot be used: {why}"),
        "own node",
        "reflection answers with the schema as it was published",
        "give the types with --proto, and tell the publisher of the service",
    )
}

/// Reflection shows what the caller may ask; so not found means: not agreed, or not there.
fn unknown(status: &Status, path: &MethodPath) -> Failure {
    if status.code() != tonic::Code::NotFound {
        return Fault::read(status).into();
    }
    Failure::refused(
        format!("the node shows no service {} to this caller", path.service),
        "you, the caller",
        "reflection shows the services for which the caller's subsystem has an agreement in force",
        "check the name, then the agreements: jisr node agree list; with --proto the call is made all the same",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, imports: &[&str]) -> (String, FileDescriptorProto) {
        let dependency = imports.iter().map(ToString::to_string).collect();
        (
            name.into(),
            FileDescriptorProto {
                name: Some(name.into()),
                dependency,
                ..Default::default()
            },
        )
    }

    #[test]
    fn what_is_imported_and_absent_is_asked_for() {
        let files = BTreeMap::from([file("a", &["b", "c"]), file("b", &[])]);
        assert_eq!(missing(&files), BTreeSet::from(["c".to_owned()]));
    }

    #[test]
    fn files_are_added_after_their_imports() {
        let files = BTreeMap::from([file("a", &["z"]), file("m", &["a"]), file("z", &[])]);
        assert_eq!(in_order(files).unwrap().files().count(), 3);
    }

    #[test]
    fn a_ring_of_imports_ends_with_an_error() {
        let files = BTreeMap::from([file("a", &["b"]), file("b", &["a"])]);
        assert!(in_order(files).is_err());
    }
}
