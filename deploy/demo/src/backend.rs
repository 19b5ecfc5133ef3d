//! The agencies' own systems: typed gRPC servers (h2c) over SQLite databases.
//!
//! A backend knows nothing of Jisr. It finds the exchange id in the metadata `jisr-exchange-id`, logs it, and uses it where a
//! method has effects, so that the same exchange never acts twice.

mod border;
mod clearance;
mod companies;
mod exchange;
mod fitness;
mod identity;
mod insurance;
mod people;
mod permits;
mod refusal;
mod residence;
mod store;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tonic::service::InterceptorLayer;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::agency::{Agency, UnknownAgency};
use crate::jo::border::v1::movements_server::MovementsServer;
use crate::jo::business::v1::companies_server::CompaniesServer;
use crate::jo::clearance::v1::clearance_server::ClearanceServer;
use crate::jo::health::v1::fitness_certificates_server::FitnessCertificatesServer;
use crate::jo::identity::v1::foreigner_identity_server::ForeignerIdentityServer;
use crate::jo::labour::v1::work_permits_server::WorkPermitsServer;
use crate::jo::residency::v1::residence_permits_server::ResidencePermitsServer;
use crate::jo::socialsecurity::v1::contributions_server::ContributionsServer;
use crate::world::World;

use store::Store;

/// What a backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Database file. Filled if it is not there; a file that another world filled is refused.
    pub database: PathBuf,
    /// The world whose part the backend keeps.
    pub world: World,
}

/// Why a backend cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No such agency.
    #[error(transparent)]
    Agency(#[from] UnknownAgency),
    /// The address cannot be listened on.
    #[error("backend: cannot listen on {address}: {source}; give another address, or port 0 for a free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The database failed.
    #[error("backend: database {path}: {source}")]
    Database {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database file cannot be put in place.
    #[error("backend: database {path}: {source}")]
    File {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database holds other data than asked for.
    #[error("backend: database {path} was filled for {found}, not for {wanted}: name another file or remove this one")]
    OtherWorld {
        /// Its file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The server stopped with an error.
    #[error("backend: server stopped: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// Runs the backend of an agency on `listen` until `shutdown` resolves. `ready` is told the bound address once the data are
/// there and calls are answered.
///
/// # Errors
/// [`BackendError`] if the agency is unknown, the address taken, or the database cannot be opened or filled.
pub async fn run(
    code: &str,
    options: Options,
    listen: SocketAddr,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), BackendError> {
    let agency: Agency = code.parse()?;
    let listening = |source| BackendError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let store = Store::open(agency, &options).await?;
    ready(address);
    answer(agency, store, listener, shutdown).await
}

/// Runs the backend of an agency on a listener that is already bound, until `shutdown` resolves.
///
/// # Errors
/// [`BackendError`] if the database cannot be opened or filled, or the server fails.
pub async fn serve(
    agency: Agency,
    options: Options,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BackendError> {
    let store = Store::open(agency, &options).await?;
    answer(agency, store, listener, shutdown).await
}

async fn answer(
    agency: Agency,
    store: Store,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BackendError> {
    let mut routes = RoutesBuilder::default();
    let (health, health_server) = tonic_health::server::health_reporter();
    routes.add_service(health_server);
    add_services(agency, &store, &mut routes);
    for contract in agency.services() {
        health
            .set_service_status(contract.service, tonic_health::ServingStatus::Serving)
            .await;
    }
    Server::builder()
        .layer(InterceptorLayer::new(exchange::Log::of(agency)))
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
        .await?;
    Ok(())
}

/// The services of [`Agency::services`], in the same order.
fn add_services(agency: Agency, store: &Store, routes: &mut RoutesBuilder) {
    match agency {
        Agency::Mol => {
            routes.add_service(WorkPermitsServer::new(permits::Permits::over(store)));
        }
        Agency::Psd => {
            routes
                .add_service(ResidencePermitsServer::new(residence::Residences::over(store)))
                .add_service(MovementsServer::new(border::Border::over(store)))
                .add_service(ForeignerIdentityServer::new(identity::Identities::over(store)));
        }
        Agency::Moh => {
            routes.add_service(FitnessCertificatesServer::new(fitness::Certificates::over(store)));
        }
        Agency::Ssc => {
            routes.add_service(ContributionsServer::new(insurance::Insurance::over(store)));
        }
        Agency::Ccd => {
            routes.add_service(CompaniesServer::new(companies::Register::over(store)));
        }
        Agency::Gid => {
            routes.add_service(ClearanceServer::new(clearance::Answers::over(store)));
        }
    }
}
