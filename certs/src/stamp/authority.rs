//! The built-in authority: answers requests for time-stamps (RFC 3161), for networks that have no authority outside.
//!
//! Serial numbers are 8 octets of time and 8 random ones, so none comes twice, whatever was restored from a backup. Times only go
//! forward, also across restarts: before a time is said, one not below it is on disk. That is what lets tokens say `ordering`.

use std::sync::{Mutex, PoisonError};

use cms::cert::x509::Certificate;
use der::asn1::{BitString, Int, ObjectIdentifier, Utf8StringRef};
use der::{Any, Decode, Encode, Tag};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::QUERY_BYTES_MAX;
use super::asn1::{Accuracy, PkiStatusInfo, TimeStampReq, TimeStampResp, TstInfo};
use super::build::{encoding, signed};
use super::key::StampKey;
use super::refused::{StampRule, refused};
use crate::digest::sha256;
use crate::error::CertError;
use crate::keys::{KeyStore, random};
use crate::profile::{check_time_stamp, holds_key, root_by_fingerprint};

/// How far off the time of a token may be, microseconds: stated in it.
pub const ACCURACY_US: u64 = 1_000_000;
/// How far ahead a time is written to disk, microseconds. Not above the accuracy: after a restart tokens begin there.
const RESERVED_US: u64 = ACCURACY_US;
/// The file with the time below which all tokens so far lie.
const FLOOR: &str = "timestamp.floor";
/// The policy of this authority: one of our own below the arc that needs no registration (ITU-T X.667), short enough for readers that
/// keep few bits of a number.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.25.117837034.1");
const SECONDS: &[FormatItem<'static>] = format_description!("[year][month][day][hour][minute][second]");

/// PKIStatus and the bits of PKIFailureInfo (RFC 3161, section 2.4.2).
const GRANTED: u8 = 0;
const REJECTION: u8 = 2;
const BAD_ALGORITHM: u8 = 0;
const BAD_REQUEST: u8 = 2;
const BAD_DATA_FORMAT: u8 = 5;
const TIME_NOT_AVAILABLE: u8 = 14;
const UNACCEPTED_POLICY: u8 = 15;
const UNACCEPTED_EXTENSION: u8 = 16;

/// The built-in authority.
pub struct StampAuthority {
    key: StampKey,
    /// Leaf, issuing authority, root.
    chain: Vec<Certificate>,
    leaf: CertificateDer<'static>,
    store: KeyStore,
    times: Mutex<Times>,
}

/// Times said, and the one on disk, microseconds.
struct Times {
    last: u64,
    reserved: u64,
}

/// Why a request is not granted: the bit of PKIFailureInfo and a text.
type Failure = (u8, &'static str);

impl StampAuthority {
    /// Opens the authority with the key `timestamp.pem` of the store and its certificate chain: leaf, issuing authority, root.
    ///
    /// # Errors
    /// [`CertError::KeyStore`] where key and certificate do not belong together; [`CertError::Refused`] where the chain breaks its
    /// profile now.
    pub fn open(store: KeyStore, chain: &[CertificateDer<'static>], now_us: u64) -> Result<StampAuthority, CertError> {
        let key = StampKey::load_or_make(&store)?;
        let (Some(leaf), Some(root)) = (chain.first(), chain.last()) else {
            return Err(refused(StampRule::Certificate, "the authority has no certificate").into());
        };
        let verified = root_by_fingerprint(chain, &sha256(&[root]), now_us)?;
        let below: Vec<_> = chain.iter().filter(|der| *der != root).cloned().collect();
        check_time_stamp(&below, &verified, now_us)?;
        if !holds_key(leaf, key.pair().public()) {
            return Err(store.broken("timestamp.pem", "its certificate is for another key"));
        }
        let floor = floor(&store)?;
        let parse = |der: &CertificateDer<'_>| Certificate::from_der(der).map_err(|_| encoding());
        Ok(StampAuthority {
            key,
            leaf: leaf.clone(),
            chain: chain.iter().map(parse).collect::<Result<_, _>>()?,
            store,
            times: Mutex::new(Times {
                last: floor,
                reserved: floor,
            }),
        })
    }

    /// Answers a request (TimeStampReq, DER) with a TimeStampResp, DER: a token, or why there is none. May write a small file.
    ///
    /// # Errors
    /// [`CertError::Io`] where the time cannot be kept; [`CertError::Crypto`].
    pub fn answer(&self, request: &[u8], now_us: u64) -> Result<Vec<u8>, CertError> {
        match asked(request) {
            Err(failure) => rejected(failure),
            Ok(request) => match self.time(now_us)? {
                None => rejected((TIME_NOT_AVAILABLE, "the clock of this authority went back")),
                Some(time_us) => self.token(&request, time_us),
            },
        }
    }

    /// A time that no token has yet; `None` while the clock is behind the times that were said.
    fn time(&self, now_us: u64) -> Result<Option<u64>, CertError> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let time = now_us.max(times.last.saturating_add(1));
        if time - now_us > ACCURACY_US {
            return Ok(None);
        }
        if time > times.reserved {
            let reserved = time.saturating_add(RESERVED_US);
            self.store.write(FLOOR, format!("{reserved}\n").as_bytes())?;
            times.reserved = reserved;
        }
        times.last = time;
        Ok(Some(time))
    }

    fn token(&self, request: &TimeStampReq, time_us: u64) -> Result<Vec<u8>, CertError> {
        let mut serial = [0; 16];
        random(&mut serial)?;
        // The time is below 2^63, so the number is positive.
        if let Some(half) = serial.first_chunk_mut::<8>() {
            *half = time_us.to_be_bytes();
        }
        let encode = || {
            let first = serial.iter().position(|byte| *byte != 0).unwrap_or(0);
            let first = if serial.get(first).is_some_and(|byte| byte & 0x80 != 0) {
                first.saturating_sub(1)
            } else {
                first
            };
            Ok(TstInfo {
                version: 1,
                policy: Any::encode_from(&POLICY)?,
                message_imprint: request.message_imprint.clone(),
                serial_number: Int::new(serial.get(first..).unwrap_or_default())?,
                gen_time: Any::new(Tag::GeneralizedTime, gen_time(time_us))?,
                accuracy: Some(Accuracy {
                    seconds: Some(1),
                    millis: None,
                    micros: None,
                }),
                ordering: true,
                nonce: request.nonce.clone(),
                tsa: None,
                extensions: None,
            })
        };
        let info = encode().map_err(|_: der::Error| encoding())?;
        let chain = if request.cert_req { self.chain.as_slice() } else { &[] };
        let token = signed(&info, self.key.pair(), &self.leaf, chain)?;
        let status = PkiStatusInfo {
            status: GRANTED,
            status_string: None,
            fail_info: None,
        };
        let answer = || {
            TimeStampResp {
                status,
                token: Some(Any::encode_from(&token)?),
            }
            .to_der()
        };
        answer().map_err(|_| encoding())
    }
}

impl std::fmt::Debug for StampAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StampAuthority")
    }
}

/// The request, where it is one that is granted.
fn asked(request: &[u8]) -> Result<TimeStampReq, Failure> {
    if request.len() > QUERY_BYTES_MAX {
        return Err((BAD_DATA_FORMAT, "the request is longer than 1 KiB"));
    }
    let request =
        TimeStampReq::from_der(request).map_err(|_| (BAD_DATA_FORMAT, "the request is no TimeStampReq in DER"))?;
    if request.version != 1 {
        return Err((BAD_REQUEST, "the request is not of version 1"));
    }
    if request.message_imprint.sha256().is_none() {
        return Err((BAD_ALGORITHM, "the request is not over a SHA-256 digest"));
    }
    if request.req_policy.is_some_and(|policy| policy != POLICY) {
        return Err((UNACCEPTED_POLICY, "this authority has one policy; leave it out"));
    }
    if request.extensions.is_some() {
        return Err((UNACCEPTED_EXTENSION, "this authority knows no extension"));
    }
    if request.nonce.as_ref().is_some_and(|nonce| nonce.as_bytes().len() > 32) {
        return Err((BAD_REQUEST, "the nonce is longer than 32 octets"));
    }
    Ok(request)
}

fn rejected((bit, text): Failure) -> Result<Vec<u8>, CertError> {
    let encode = || {
        let place = usize::from(bit);
        let mut bytes = vec![0u8; place / 8 + 1];
        if let Some(last) = bytes.last_mut() {
            *last = 0x80 >> (place % 8);
        }
        let unused = u8::try_from(7 - place % 8).unwrap_or(0);
        let status = PkiStatusInfo {
            status: REJECTION,
            status_string: Some(vec![Utf8StringRef::new(text)?]),
            fail_info: Some(BitString::new(unused, bytes)?),
        };
        TimeStampResp { status, token: None }.to_der()
    };
    encode().map_err(|_: der::Error| encoding())
}

/// GeneralizedTime with a fraction, as DER wants it: no zero at its end.
fn gen_time(time_us: u64) -> Vec<u8> {
    let seconds = i64::try_from(time_us / 1_000_000).unwrap_or(0);
    let whole = OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|date| date.format(SECONDS).ok());
    let fraction = format!(".{:06}", time_us % 1_000_000);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{}{fraction}Z", whole.unwrap_or_default()).into_bytes()
}

fn floor(store: &KeyStore) -> Result<u64, CertError> {
    let Some(text) = store.read(FLOOR)? else { return Ok(0) };
    let text = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.trim_end().parse().ok());
    text.ok_or_else(|| store.broken(FLOOR, "it holds no time"))
}
