//! The door for administrators: a Unix socket that only the registry's own user can open.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_proto::registry as wire;
use jisr_proto::registry::registry_admin_server::RegistryAdmin;
use tokio::net::UnixListener;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::office::Office;
use crate::service::answer;

/// `jisr.registry.v1.RegistryAdmin`.
pub(crate) struct AdminService {
    pub(crate) office: Arc<Office>,
}

#[tonic::async_trait]
impl RegistryAdmin for AdminService {
    async fn administer(
        &self,
        request: Request<wire::AdministerRequest>,
    ) -> Result<Response<wire::AdministerResponse>, Status> {
        answer(self.office.administer(request.into_inner()).await)
    }

    async fn acts(&self, _: Request<wire::ActsRequest>) -> Result<Response<wire::ActsResponse>, Status> {
        answer(Ok(self.office.acts()))
    }

    async fn administrators(
        &self,
        _: Request<wire::AdministratorsRequest>,
    ) -> Result<Response<wire::AdministratorsResponse>, Status> {
        answer(Ok(self.office.administrators()))
    }

    async fn members(&self, _: Request<wire::MembersRequest>) -> Result<Response<wire::MembersResponse>, Status> {
        answer(Ok(self.office.members()))
    }

    async fn status(
        &self,
        _: Request<wire::RegistryStatusRequest>,
    ) -> Result<Response<wire::RegistryStatusResponse>, Status> {
        answer(Ok(self.office.status()))
    }
}

/// The socket file; removed when it is dropped.
pub(crate) struct AdminSocket {
    path: PathBuf,
}

impl AdminSocket {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Binds the socket, mode 0600. What a crash left is replaced: the ledger's lock says that no other registry runs.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Directory`] where something else than a socket stands there.
    pub(crate) fn bind(path: &Path) -> Result<(AdminSocket, UnixListener), Error> {
        match std::fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(|e| Error::io("remove", path, e))?;
            }
            Ok(_) => {
                let rule = format!("{} is no socket; move it away", path.display());
                return Err(Error::Directory(rule));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", path, error)),
        }
        // The data directory is 0700, so nobody else reaches the socket before its own mode is set.
        let listener = UnixListener::bind(path).map_err(|e| Error::io("bind", path, e))?;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, mode).map_err(|e| Error::io("restrict", path, e))?;
        Ok((AdminSocket { path: path.to_owned() }, listener))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A socket left behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
