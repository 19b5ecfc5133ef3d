//! Asking one authority for one time-stamp, within bounds of time and size.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jisr_certs::Verified;
use jisr_certs::stamp::{ANSWER_BYTES_MAX, ANSWER_TYPE, QUERY_TYPE, Query, Stamped, Trust};
use jisr_ledger::Hash;
use tokio::net::TcpStream;
use tonic::transport::Channel;

use crate::registry_link;

/// How long an authority may take, from the connection to the last byte.
const WAIT: Duration = Duration::from_secs(10);
/// Path of the registry's own authority.
const PATH: &str = "/timestamp";

/// Where an authority is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The registry's built-in one, over the connection to the registry.
    Registry,
    /// Outside, over plain HTTP: what it says it signs, and what it is sent is a digest.
    Http {
        /// host:port.
        authority: String,
        /// Path and query.
        path: String,
    },
}

impl Way {
    /// From `registry` or a URL; none where it is neither.
    pub(crate) fn parse(url: &str) -> Option<Way> {
        if url == "registry" {
            return Some(Way::Registry);
        }
        let uri: http::Uri = url.parse().ok()?;
        let host = uri.host().filter(|host| !host.is_empty())?;
        (uri.scheme_str() == Some("http")).then(|| Way::Http {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Registry => f.write_str("registry"),
            Way::Http { authority, path } => write!(f, "http://{authority}{path}"),
        }
    }
}

/// Asks for a time-stamp over a digest; yields the token and what it says.
///
/// # Errors
/// The authority cannot be reached, or its answer does not hold, in words.
pub(crate) async fn ask(
    way: &Way,
    registry: Channel,
    imprint: &Hash,
    policy: &str,
    trust: &Trust,
    now_us: u64,
) -> Result<(Bytes, Verified<Stamped>), String> {
    let query = Query::new(imprint, policy).map_err(|error| error.to_string())?;
    let body = Bytes::from(query.der().map_err(|error| error.to_string())?);
    let answered = async {
        match way {
            Way::Registry => posted(registry, body).await,
            Way::Http { authority, path } => fetched(authority, path, body).await,
        }
    };
    let answer = tokio::time::timeout(WAIT, answered).await;
    let answer = answer.map_err(|_| "it did not answer in time".to_owned())??;
    let (token, stamped) = query
        .answered(&answer, trust, now_us)
        .map_err(|error| error.to_string())?;
    Ok((token.into(), stamped))
}

async fn posted(registry: Channel, body: Bytes) -> Result<Bytes, String> {
    let posted = registry_link::post(registry, PATH, QUERY_TYPE, body).await?;
    match posted.status {
        200 => Ok(posted.body),
        status => Err(format!(
            "it answered {status}: {}",
            String::from_utf8_lossy(&posted.body).escape_debug()
        )),
    }
}

async fn fetched(authority: &str, path: &str, body: Bytes) -> Result<Bytes, String> {
    let text = |error: &dyn fmt::Display| error.to_string();
    let stream = TcpStream::connect(authority).await.map_err(|error| text(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| text(&error))?;
    let request = Request::post(path)
        .header(HOST, authority)
        .header(CONTENT_TYPE, QUERY_TYPE)
        .body(Full::new(body))
        .map_err(|error| text(&error))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| text(&error))?;
        let (head, body) = response.into_parts();
        let kind = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("");
        if head.status != StatusCode::OK || kind.split(';').next().map(str::trim) != Some(ANSWER_TYPE) {
            return Err(format!("it answered {} with a body of type {:?}", head.status, kind));
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| text(&error))?;
        Ok(body.to_bytes())
    };
    let mut answered = pin!(answered);
    tokio::select! {
        answer = &mut answered => return answer,
        // A server may close as soon as it has answered: what came is still read.
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, authority, "the connection to a time-stamp authority broke");
        },
    }
    answered.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_the_registrys_or_has_a_url() {
        assert_eq!(Way::parse("registry"), Some(Way::Registry));
        let way = Way::parse("http://tsa.example/tsr?x=1").unwrap();
        assert_eq!(way.to_string(), "http://tsa.example:80/tsr?x=1");
        assert_eq!(Way::parse("http://[::1]:318").unwrap().to_string(), "http://[::1]:318/");
        for url in [
            "",
            "tsa.example",
            "https://tsa.example",
            "ftp://tsa.example",
            "http://",
            "/timestamp",
        ] {
            assert_eq!(Way::parse(url), None, "{url}");
        }
    }
}
