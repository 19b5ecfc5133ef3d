//! Services and methods, by their protobuf names.

use std::fmt;
use std::str::FromStr;

use super::text::text_identifier;
use super::{IdentError, quoted};

/// Longest name of a service or method, bytes.
const NAME_BYTES_MAX: usize = 200;

text_identifier! {
    /// Full name of a protobuf service with at least one dot, at most 200 bytes: `jo.residency.v1.ResidencePermits`.
    ServiceName, Service, |text| {
        text.len() <= NAME_BYTES_MAX && text.contains('.') && text.split('.').all(is_proto_name)
    }
}

text_identifier! {
    /// Name of a method within its service, at most 200 bytes: `CheckStatus`.
    MethodName, Method, |text| text.len() <= NAME_BYTES_MAX && is_proto_name(text)
}

/// Whether the text is one identifier of the protobuf language: a letter or `_`, then letters, digits and `_`.
fn is_proto_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A method as gRPC addresses it: `/jo.residency.v1.ResidencePermits/CheckStatus`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodPath {
    /// The service.
    pub service: ServiceName,
    /// The method in it.
    pub method: MethodName,
}

impl MethodPath {
    /// Reads a path; the same as `FromStr`.
    ///
    /// # Errors
    /// [`IdentError::Path`] if there are not two names between slashes, otherwise which of the two is none.
    pub fn parse(path: &str) -> Result<MethodPath, IdentError> {
        path.parse()
    }
}

impl FromStr for MethodPath {
    type Err = IdentError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let (service, method) = path
            .strip_prefix('/')
            .and_then(|names| names.split_once('/'))
            .ok_or_else(|| IdentError::Path(quoted(path)))?;
        Ok(MethodPath {
            service: service.parse()?,
            method: method.parse()?,
        })
    }
}

impl fmt::Display for MethodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.service, self.method)
    }
}

impl fmt::Debug for MethodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
