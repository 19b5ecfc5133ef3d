//! The catalogue at the admin door: what the snapshot lists, with schemas from the own copies or the registry.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::browse;
use jisr_proto::catalogue as wire;
use jisr_proto::catalogue::catalogue_server::Catalogue;
use jisr_proto::ident::ServiceName;
use jisr_proto::reason::Reason;
use jisr_proto::registry::SchemaRequest;
use jisr_proto::status::Fault;
use tonic::{Request, Response, Status};

use crate::closets::Closets;
use crate::directory::{ServiceRow, View};
use crate::liveness;

/// `jisr.catalogue.v1.Catalogue`.
pub(super) struct Shelf {
    pub(super) closets: Arc<Closets>,
}

#[tonic::async_trait]
impl Catalogue for Shelf {
    async fn search(&self, request: Request<wire::SearchRequest>) -> Result<Response<wire::SearchResponse>, Status> {
        let (view, request) = (
            self.closets.directory.current(self.closets.now_us())?,
            request.into_inner(),
        );
        let searching = move || {
            let mut entries: Vec<wire::Entry> = view.services().map(|(_, row)| entry(&view, row)).collect();
            let key = |entry: &wire::Entry| {
                entry
                    .service
                    .as_ref()
                    .map(|row| (row.name.clone(), row.provider.clone()))
            };
            entries.sort_by_cached_key(key);
            browse::select(entries.into_iter(), &request)
        };
        let mut found = aside(searching).await?;
        liveness::learn(&self.closets, &mut found.entries).await;
        Ok(Response::new(found))
    }

    async fn show(&self, request: Request<wire::ShowRequest>) -> Result<Response<wire::ShowResponse>, Status> {
        Ok(Response::new(show(&self.closets, request.into_inner()).await?))
    }
}

async fn show(closets: &Closets, request: wire::ShowRequest) -> Result<wire::ShowResponse, Fault> {
    let unknown = |text: String| Fault::new(Reason::UnknownService, text);
    let name: ServiceName = request.service.parse().map_err(|error| unknown(format!("{error}")))?;
    let view = closets.directory.current(closets.now_us())?;
    let all = view.publishers(&name).iter();
    let mut named = all.filter(|row| request.provider.is_empty() || row.provider.to_string() == request.provider);
    let row = match (named.next(), named.next()) {
        (Some(row), None) => row,
        (None, _) => {
            return Err(unknown(format!(
                "nobody there publishes {name} in snapshot {}",
                view.version
            )));
        }
        (Some(_), Some(_)) => {
            let text = format!("several publish {name}; name the provider");
            return Err(Fault::new(Reason::ProviderAmbiguous, text));
        }
    };
    let mut entries = [entry(&view, row)];
    liveness::learn(closets, &mut entries).await;
    let [entry] = entries;
    let schema = schema(closets, row).await?;
    aside(move || browse::show(entry, schema).map_err(Fault::from)).await?
}

fn entry(view: &View, row: &ServiceRow) -> wire::Entry {
    let (member_ar, member_en) = view.names(&row.provider.member());
    wire::Entry {
        service: Some(row.row.clone()),
        serving: wire::Serving::Unknown.into(),
        since_us: 0,
        member_ar: member_ar.to_owned(),
        member_en: member_en.to_owned(),
    }
}

/// The schema of a publication: the own copy, or the registry's, which must be what its digest says.
pub(super) async fn schema(closets: &Closets, row: &ServiceRow) -> Result<Bytes, Fault> {
    if let Some(schema) = closets.schemas.find(&row.schema) {
        return Ok(schema.bytes.clone());
    }
    let request = SchemaRequest {
        digest: Bytes::copy_from_slice(&row.schema),
    };
    let fetched = closets.registry.client().schema(request).await;
    let fetched = fetched.map_err(|status| Fault::new(Reason::RegistryUnreachable, status.to_string()))?;
    let schema = fetched.into_inner().schema;
    if jisr_certs::digest::domain("jisr.schema", &[&schema]) != row.schema {
        return Err(Fault::new(
            Reason::RegistryRefused,
            "the registry sent another schema than its digest names",
        ));
    }
    Ok(schema)
}

/// Runs what takes longer than others should wait.
async fn aside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Fault> {
    let stopped = |_| Fault::new(Reason::Internal, "a task of the node stopped unexpectedly");
    tokio::task::spawn_blocking(work).await.map_err(stopped)
}
