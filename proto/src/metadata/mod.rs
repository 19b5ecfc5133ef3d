//! What a caller says beside its message: `jisr-` metadata, and what of other metadata passes through.

mod value;

use crate::ident::{ExchangeId, IdentError, SubsystemId};
use crate::reason::Reason;
use crate::status::Fault;

pub use value::{VALUE_BYTES_MAX, Value, ValueError, encode};

/// What the data is for: a purpose code of the agreement.
pub const PURPOSE: &str = "jisr-purpose";
/// The case at hand.
pub const CASE: &str = "jisr-case";
/// The officer at work.
pub const OFFICER: &str = "jisr-officer";
/// The consent of the person concerned.
pub const CONSENT: &str = "jisr-consent";
/// The legal duty that the call serves.
pub const DUTY: &str = "jisr-duty";
/// Which of its subsystems the caller asks for.
pub const CLIENT: &str = "jisr-client";
/// Which of several providers is asked.
pub const PROVIDER: &str = "jisr-provider";
/// The exchange id; replies and calls to backends carry it too.
pub const EXCHANGE_ID: &str = "jisr-exchange-id";

/// What the caller asserts. What is absent was not given; whether it had to be is for the agreement to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asserted {
    /// [`PURPOSE`].
    pub purpose: Option<Value>,
    /// [`CASE`].
    pub case: Option<Value>,
    /// [`OFFICER`].
    pub officer: Option<Value>,
    /// [`CONSENT`].
    pub consent: Option<Value>,
    /// [`DUTY`].
    pub duty: Option<Value>,
    /// [`CLIENT`].
    pub client: Option<SubsystemId>,
    /// [`PROVIDER`].
    pub provider: Option<SubsystemId>,
    /// [`EXCHANGE_ID`].
    pub exchange_id: Option<ExchangeId>,
}

impl Asserted {
    /// Reads the `jisr-` entries out of a call's metadata: names in lower case, values as they stood in the header.
    ///
    /// # Errors
    /// The first entry that is not valid, given twice, or not known: a misspelt name would otherwise go unnoticed.
    pub fn parse<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Asserted, MetadataError> {
        let mut asserted = Asserted::default();
        for (name, raw) in entries
            .into_iter()
            .filter(|(name, _)| name.starts_with(RESERVED_PREFIX))
        {
            asserted.take(name, raw).map_err(|why| MetadataError {
                name: name.chars().take(64).collect(),
                why,
            })?;
        }
        Ok(asserted)
    }

    fn take(&mut self, name: &str, raw: &[u8]) -> Result<(), Why> {
        match name {
            PURPOSE => once(&mut self.purpose, Value::decode(raw)?),
            CASE => once(&mut self.case, Value::decode(raw)?),
            OFFICER => once(&mut self.officer, Value::decode(raw)?),
            CONSENT => once(&mut self.consent, Value::decode(raw)?),
            DUTY => once(&mut self.duty, Value::decode(raw)?),
            CLIENT => once(&mut self.client, Value::decode(raw)?.parse()?),
            PROVIDER => once(&mut self.provider, Value::decode(raw)?.parse()?),
            EXCHANGE_ID => once(&mut self.exchange_id, Value::decode(raw)?.parse()?),
            _ => Err(Why::Unknown),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Why> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Why::Twice),
    }
}

/// Metadata that begins with this is ours, in both directions.
const RESERVED_PREFIX: &str = "jisr-";

/// Names that belong to one connection or to gRPC itself (RFC 9110, section 7.6.1; gRPC over HTTP/2).
const RESERVED: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "host",
    "http2-settings",
    "keep-alive",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Whether a metadata entry of this name, in lower case, goes from the application to the backend or back: everything
/// but what is ours, gRPC's, or of one connection only.
pub fn passes_through(name: &str) -> bool {
    let reserved = [":", RESERVED_PREFIX, "grpc-", "proxy-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    !reserved && !RESERVED.contains(&name)
}

/// A `jisr-` entry that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata {name}: {why}")]
pub struct MetadataError {
    /// Name of the entry.
    pub name: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not a value at all.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A value, but not the identifier that it must be.
    #[error(transparent)]
    Identifier(#[from] IdentError),
    /// Given more than once.
    #[error("it is given more than once")]
    Twice,
    /// No such entry exists.
    #[error("no such entry exists; names that begin with jisr- are reserved")]
    Unknown,
}

impl From<MetadataError> for Fault {
    fn from(error: MetadataError) -> Fault {
        let reason = if error.name == EXCHANGE_ID {
            Reason::ExchangeIdInvalid
        } else {
            Reason::MetadataInvalid
        };
        Fault::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Result<Asserted, MetadataError> {
        Asserted::parse(entries.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn all_entries_are_read_and_others_left_alone() {
        let asserted = parse(&[
            ("user-agent", "grpc-python"),
            ("x-trace", "\u{7f}"),
            (PURPOSE, "work-permit-renewal"),
            (CASE, "%D9%82%2017"),
            (OFFICER, "rania"),
            (CONSENT, "c-1"),
            (DUTY, "law-24"),
            (CLIENT, "JO/GOV/mol/permits"),
            (PROVIDER, "JO/GOV/psd/residency"),
            (EXCHANGE_ID, "01932b5e-7c00-7abc-8def-0123456789ab"),
        ])
        .expect("valid");
        assert_eq!(asserted.case.as_deref(), Some("ق 17"));
        assert_eq!(
            asserted.provider.map(|p| p.to_string()).as_deref(),
            Some("JO/GOV/psd/residency")
        );
        assert_eq!(asserted.exchange_id.map(|id| id.time_ms()), Some(0x0193_2b5e_7c00));
        assert_eq!(parse(&[]), Ok(Asserted::default()));
    }

    #[test]
    fn bad_entries_are_refused_by_name() {
        for (entries, reason) in [
            (&[(PURPOSE, "a"), (PURPOSE, "a")][..], Reason::MetadataInvalid),
            (&[("jisr-purpos", "a")], Reason::MetadataInvalid),
            (&[(CLIENT, "permits")], Reason::MetadataInvalid),
            (&[(CASE, "%0d%0a")], Reason::MetadataInvalid),
            (
                &[(EXCHANGE_ID, "01932b5e-7c00-4abc-8def-0123456789ab")],
                Reason::ExchangeIdInvalid,
            ),
        ] {
            let fault = Fault::from(parse(entries).expect_err("refused"));
            assert_eq!(fault.reason, reason);
            assert!(fault.detail.contains(entries[0].0), "{}", fault.detail);
        }
    }

    #[test]
    fn only_application_metadata_passes_through() {
        for name in ["x-request-id", "authorization", "traceparent", "thing-bin", "teapot"] {
            assert!(passes_through(name), "{name}");
        }
        for name in [
            ":path",
            "te",
            "grpc-timeout",
            "jisr-purpose",
            "content-type",
            "proxy-authorization",
            "connection",
        ] {
            assert!(!passes_through(name), "{name}");
        }
    }
}
