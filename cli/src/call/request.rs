//! The request: its message, from JSON, and what its metadata says.

use std::path::Path;

use base64::Engine;
use clap::Args;
use jisr_proto::ident::{ExchangeId, SubsystemId};
use prost_reflect::{DeserializeOptions, DynamicMessage, MethodDescriptor};
use tonic::metadata::{AsciiMetadataKey, BinaryMetadataKey, MetadataMap, MetadataValue};

use super::sample;
use crate::failure::Failure;
use crate::output;

/// The largest JSON text, bytes.
const JSON_BYTES_MAX: u64 = 64 << 20;

/// What the caller asserts about the call; it enters the record of both sides.
#[derive(Debug, Args)]
#[command(next_help_heading = "What the record will say")]
pub(super) struct Says {
    /// What for: a code that the agreement allows
    #[arg(long, value_name = "CODE")]
    purpose: Option<String>,
    /// Case the question belongs to
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Officer who asks
    #[arg(long, value_name = "TEXT")]
    officer: Option<String>,
    /// Reference of the person's consent
    #[arg(long, value_name = "TEXT")]
    consent: Option<String>,
    /// Legal duty
    #[arg(long, value_name = "TEXT")]
    duty: Option<String>,
    /// Subsystem that asks; needed where the credential stands for several, and with --dir
    #[arg(long, value_name = "SUBSYSTEM")]
    client: Option<SubsystemId>,
    /// Subsystem to ask; needed where several publish the service
    #[arg(long, value_name = "SUBSYSTEM")]
    provider: Option<SubsystemId>,
    /// Id of the exchange: a UUID of version 7, to ask again for an answer that was lost
    #[arg(long, value_name = "UUID")]
    exchange_id: Option<ExchangeId>,
    /// Further metadata, passed to the backend; base64 where the key ends in -bin
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
}

impl Says {
    /// The subsystem that asks, if named.
    pub(super) fn client(&self) -> Option<&SubsystemId> {
        self.client.as_ref()
    }

    /// Writes it all into the metadata of a request.
    pub(super) fn write(&self, metadata: &mut MetadataMap) -> Result<(), Failure> {
        let ids = [
            ("jisr-client", self.client.as_ref().map(ToString::to_string)),
            ("jisr-provider", self.provider.as_ref().map(ToString::to_string)),
            ("jisr-exchange-id", self.exchange_id.as_ref().map(ToString::to_string)),
        ];
        let texts = [
            ("jisr-purpose", &self.purpose),
            ("jisr-case", &self.case),
            ("jisr-officer", &self.officer),
            ("jisr-consent", &self.consent),
            ("jisr-duty", &self.duty),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                ascii(metadata, key, &percent_encoded(text))?;
            }
        }
        for (key, id) in ids {
            if let Some(id) = id {
                ascii(metadata, key, &id)?;
            }
        }
        self.metadata.iter().try_for_each(|pair| further(metadata, pair))
    }
}

fn further(metadata: &mut MetadataMap, pair: &str) -> Result<(), Failure> {
    let wrong = |why: &str| {
        Failure::usage(
            format!("--metadata {pair:?}: {why}"),
            "write KEY=VALUE, with base64 where KEY ends in -bin",
        )
    };
    let (key, value) = pair.split_once('=').ok_or_else(|| wrong("there is no ="))?;
    let key = key.to_ascii_lowercase();
    if !key.ends_with("-bin") {
        return ascii(metadata, &key, value);
    }
    let key: BinaryMetadataKey = key.parse().map_err(|_| wrong("the key is no metadata key"))?;
    let standard = base64::engine::general_purpose::STANDARD;
    let bytes = standard.decode(value).map_err(|_| wrong("the value is not base64"))?;
    metadata.append_bin(key, MetadataValue::from_bytes(&bytes));
    Ok(())
}

fn ascii(metadata: &mut MetadataMap, key: &str, value: &str) -> Result<(), Failure> {
    let wrong = || {
        Failure::usage(
            format!("{key}={value} cannot stand in metadata"),
            "keys hold lower-case letters, digits, - _ and .; values visible ASCII characters and spaces",
        )
    };
    let key: AsciiMetadataKey = key.parse().map_err(|_| wrong())?;
    metadata.append(key, value.parse().map_err(|_| wrong())?);
    Ok(())
}

/// Metadata is ASCII: every byte of the UTF-8 text that is not visible, and the percent sign, becomes %XX.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

/// The request message from `source`: JSON text, `@FILE`, or `-`.
pub(super) fn message(method: &MethodDescriptor, source: &str) -> Result<DynamicMessage, Failure> {
    let text = text(source)?;
    let kind = method.input();
    let mut json = serde_json::Deserializer::from_str(&text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(kind.clone(), &mut json, &options)
        .and_then(|message| json.end().map(|()| message))
        .map_err(|error| {
            Failure::usage(
                format!("the JSON does not fit {}: {error}", kind.full_name()),
                format!("its form is {}", sample::of(&kind)),
            )
        })
}

fn text(source: &str) -> Result<String, Failure> {
    let (path, bytes) = match source.strip_prefix('@') {
        Some(file) => (file, output::read(Path::new(file), JSON_BYTES_MAX)?),
        None if source == "-" => ("standard input", output::stdin(JSON_BYTES_MAX)?),
        None => return Ok(source.to_owned()),
    };
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(Failure::unusable(
            Path::new(path),
            "longer than 64 MiB",
            "send less at once",
        ));
    }
    String::from_utf8(bytes).map_err(|_| Failure::unusable(Path::new(path), "not UTF-8", "write JSON in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arabic_texts_become_ascii() {
        assert_eq!(percent_encoded("قضية 1"), "%D9%82%D8%B6%D9%8A%D8%A9%201");
        assert_eq!(percent_encoded("100%"), "100%25");
    }

    #[test]
    fn metadata_that_cannot_be_sent_is_wrong_usage() {
        let mut metadata = MetadataMap::new();
        for pair in ["no-equals", "bad key=1", "trace-bin=***", "k=\u{7}"] {
            assert_eq!(
                further(&mut metadata, pair).unwrap_err().code(),
                crate::failure::USAGE,
                "{pair}"
            );
        }
        further(&mut metadata, "Trace=a=b").unwrap();
        further(&mut metadata, "raw-bin=AAE=").unwrap();
        assert_eq!(metadata.get("trace").unwrap(), "a=b");
        assert_eq!(
            metadata.get_bin("raw-bin").unwrap().to_bytes().unwrap().as_ref(),
            [0, 1]
        );
    }
}
