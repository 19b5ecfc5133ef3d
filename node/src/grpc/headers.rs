//! What gRPC puts into headers and trailers: status, deadline, metadata.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::FrameError;

/// Characters of a `grpc-message` that are percent-encoded.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// Status as it stands in trailers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// gRPC status code.
    pub code: u32,
    /// Message, decoded.
    pub message: String,
    /// `google.rpc.Status` bytes; empty if absent.
    pub details: Bytes,
}

impl Status {
    /// Reads the three headers; a status that is not a number is refused.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Status, FrameError> {
        let code = headers
            .get("grpc-status")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<u32>().ok())
            .ok_or(FrameError::Malformed("grpc-status is absent or not a number"))?;
        let message = headers
            .get("grpc-message")
            .map(|value| {
                percent_decode_str(&String::from_utf8_lossy(value.as_bytes()))
                    .decode_utf8_lossy()
                    .into_owned()
            })
            .unwrap_or_default();
        let details = headers
            .get("grpc-status-details-bin")
            .map(|value| decode_bin(value.as_bytes()));
        Ok(Status {
            code,
            message,
            details: details.flatten().unwrap_or_default(),
        })
    }

    /// Writes the headers.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from(self.code));
        if !self.message.is_empty() {
            let encoded = utf8_percent_encode(&self.message, MESSAGE_ESCAPES).to_string();
            if let Ok(value) = HeaderValue::from_str(&encoded) {
                headers.insert("grpc-message", value);
            }
        }
        if !self.details.is_empty()
            && let Ok(value) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(&self.details))
        {
            headers.insert("grpc-status-details-bin", value);
        }
    }
}

/// Decodes the value of a `-bin` header; padding is optional.
pub(crate) fn decode_bin(value: &[u8]) -> Option<Bytes> {
    let unpadded = value
        .strip_suffix(b"==")
        .or_else(|| value.strip_suffix(b"="))
        .unwrap_or(value);
    STANDARD_NO_PAD.decode(unpadded).ok().map(Bytes::from)
}

/// Encodes the value of a `-bin` header.
pub(crate) fn encode_bin(value: &[u8]) -> String {
    STANDARD_NO_PAD.encode(value)
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, FrameError> {
    const WRONG: FrameError = FrameError::Malformed("grpc-timeout is not at most eight digits and one of H M S m u n");
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| WRONG)?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(WRONG)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(WRONG);
    }
    let amount: u64 = digits.parse().map_err(|_| WRONG)?;
    let duration = match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return Err(WRONG),
    };
    Ok(Some(duration))
}

/// Writes `grpc-timeout` in the finest unit that fits.
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    let micros = left.as_micros();
    let text = if micros < 100_000_000 {
        format!("{micros}u")
    } else if left.as_millis() < 100_000_000 {
        format!("{}m", left.as_millis())
    } else {
        format!("{}S", left.as_secs().min(99_999_999))
    };
    HeaderValue::from_str(&text).expect("digits and a letter are a header value")
}

/// Metadata entries as name and decoded value, ready to travel in a peer message. A binary header may hold several values
/// between commas, which are as many entries.
pub(crate) fn metadata(headers: &HeaderMap) -> Vec<jisr_proto::peer::Metadata> {
    let mut entries = Vec::new();
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| jisr_proto::metadata::passes_through(name.as_str()))
    {
        let entry = |value| jisr_proto::peer::Metadata {
            name: name.as_str().to_owned(),
            value,
        };
        if name.as_str().ends_with("-bin") {
            let values = value.as_bytes().split(|byte| *byte == b',');
            entries.extend(values.filter_map(|value| decode_bin(value.trim_ascii())).map(entry));
        } else {
            entries.push(entry(Bytes::copy_from_slice(value.as_bytes())));
        }
    }
    entries
}

/// Appends metadata entries that came in a peer message; entries that are no valid headers, or reserved, are left out.
pub(crate) fn append_metadata(headers: &mut HeaderMap, entries: &[jisr_proto::peer::Metadata]) {
    for entry in entries
        .iter()
        .filter(|entry| jisr_proto::metadata::passes_through(&entry.name))
    {
        let Ok(name) = HeaderName::from_bytes(entry.name.as_bytes()) else {
            continue;
        };
        let value = if entry.name.ends_with("-bin") {
            HeaderValue::from_str(&encode_bin(&entry.value))
        } else {
            HeaderValue::from_bytes(&entry.value)
        };
        if let Ok(value) = value {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("250m").unwrap(), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H").unwrap(), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "m", "5", "5x", "-5m", "123456789m", "1.5S"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(timeout_value(Duration::from_millis(1500)), "1500000u");
        assert_eq!(timeout_value(Duration::from_secs(3600)), "3600000m");
    }

    #[test]
    fn a_status_survives() {
        let status = Status {
            code: 9,
            message: "لا اتفاق 100%".into(),
            details: Bytes::from_static(b"\x01\x02"),
        };
        let mut headers = HeaderMap::new();
        status.write(&mut headers);
        let read = Status::read(&headers).unwrap();
        assert_eq!(
            (read.code, read.message, read.details),
            (status.code, status.message, status.details)
        );
    }
}
