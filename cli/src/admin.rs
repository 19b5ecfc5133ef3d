//! The way to the admin door of a running registry or node: a Unix socket in its directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::failure::Failure;

/// Name of the socket in the data directory.
const SOCKET: &str = "admin.sock";

/// What answers at the socket; named in errors, with the command that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// `jisr registry run`
    Registry,
    /// `jisr node run`
    Node,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Registry => "registry",
            Server::Node => "node",
        }
    }

    fn other(self) -> Server {
        match self {
            Server::Registry => Server::Node,
            Server::Node => Server::Registry,
        }
    }

    /// Whether `dir` holds the configuration of such a server.
    fn lives_in(self, dir: &Path) -> bool {
        dir.join(format!("{}.toml", self.name())).exists()
    }
}

/// Connects to the admin door of the server whose data directory is `dir`.
pub(crate) async fn connect(dir: &Path, server: Server) -> Result<Channel, Failure> {
    // The sockets have one name: the wrong server would only say that it does not know the call.
    if server.other().lives_in(dir) && !server.lives_in(dir) {
        let (name, other) = (server.name(), server.other().name());
        return Err(Failure::usage(
            format!("{} is the data directory of a {other}, not of a {name}", dir.display()),
            format!("name the data directory of the {name}, or use `jisr {other}` for this one"),
        ));
    }
    let path = dir.join(SOCKET);
    // The stream is opened before tonic sees it, since tonic hides the operating system's reason.
    let stream = UnixStream::connect(&path)
        .await
        .map_err(|error| unreachable(&path, server, &error))?;
    let mut stream = Some(TokioIo::new(stream));
    let once = service_fn(move |_: Uri| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::from(ErrorKind::NotConnected)) }
    });
    Endpoint::from_static("http://admin.invalid")
        .connect_with_connector(once)
        .await
        .map_err(|error| {
            Failure::refused(
                format!("the {} at {} does not speak: {error}", server.name(), path.display()),
                format!("the {}", server.name()),
                "",
                format!("look at the log of the {}", server.name()),
            )
        })
}

fn unreachable(path: &Path, server: Server, error: &std::io::Error) -> Failure {
    let name = server.name();
    let dir = path.parent().map(PathBuf::from).unwrap_or_default();
    let remedy = match error.kind() {
        ErrorKind::NotFound if !dir.exists() => format!("name the data directory of the {name} with --dir"),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("start it: jisr {name} run --dir {}", dir.display())
        }
        ErrorKind::PermissionDenied => format!("run this command as the user that runs the {name}"),
        ErrorKind::InvalidInput => "choose a data directory with a shorter path: Unix sockets allow 107 bytes".into(),
        _ => format!("look at the log of the {name}"),
    };
    Failure::refused(
        format!("no {name} answers at {}: {error}", path.display()),
        format!("the {name} at {}", dir.display()),
        "the admin door is a Unix socket that only the server's own user can open, while the server runs",
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_its_remedy() {
        let missing = Path::new("/nonexistent/jisr");
        let failure = connect(missing, Server::Registry).await.unwrap_err();
        assert_eq!(failure.code(), crate::failure::REFUSED);
        let text = failure.explain();
        assert!(
            text.contains("no registry answers at /nonexistent/jisr/admin.sock"),
            "{text}"
        );
        assert!(text.contains("--dir"), "{text}");
    }

    #[tokio::test]
    async fn the_directory_of_the_other_server_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("registry.toml"), "").unwrap();
        let failure = connect(dir.path(), Server::Node).await.unwrap_err();
        assert_eq!(failure.code(), crate::failure::USAGE);
        assert!(failure.explain().contains("jisr registry"), "{}", failure.explain());
        let failure = connect(dir.path(), Server::Registry).await.unwrap_err();
        assert_eq!(failure.code(), crate::failure::REFUSED, "it is asked, and is not there");
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_says_so() {
        let long = PathBuf::from(format!("/tmp/{}", "d".repeat(200)));
        let failure = connect(&long, Server::Node).await.unwrap_err();
        assert!(failure.explain().contains("107 bytes") || failure.explain().contains("--dir"));
    }
}
