//! Where a mirror or an archive lies: a directory, or a bucket of S3-compatible storage.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_ledger::files::{Disk, RealDisk};
use percent_encoding::percent_decode_str;

use super::MirrorError;
use super::bucket::Bucket;
use super::directory::Directory;
use super::store::Store;

/// Place of a mirror or an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// A bucket.
    Bucket(S3),
}

/// S3-compatible storage and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// Name of the bucket.
    pub bucket: String,
    /// What stands in front of every name, without `/` at either end; may be empty.
    pub prefix: String,
    /// How it is reached.
    pub access: Access,
}

/// How S3-compatible storage is reached. Keys of `[[mirror]]`, and parameters of an `s3://` address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// `http://host:port` or `https://host:port`; absent: Amazon's, of the region.
    pub endpoint: Option<String>,
    /// Region; absent: `us-east-1`.
    pub region: Option<String>,
    /// File with `aws_access_key_id` and `aws_secret_access_key`, which only its owner may read.
    pub credentials: Option<PathBuf>,
    /// PEM file of the authorities that may vouch for the endpoint; needed with https, for no public one is trusted.
    pub ca: Option<PathBuf>,
}

/// What signs requests. No `Debug`.
pub(crate) struct Credentials {
    pub(crate) key_id: String,
    pub(crate) secret_key: String,
    pub(crate) token: Option<String>,
}

impl Location {
    /// Reads an address: `file:///DIR`, `s3://BUCKET/PREFIX`, the latter perhaps with
    /// `?endpoint=URL&region=NAME&credentials=FILE&ca=FILE`; whatever has no scheme is the path of a directory.
    ///
    /// # Errors
    /// [`MirrorError::Location`].
    pub fn parse(text: &str) -> Result<Location, MirrorError> {
        let wrong = |rule: &str| MirrorError::Location(format!("`{text}`: {rule}"));
        if let Some(path) = text.strip_prefix("file://") {
            return match path.starts_with('/') {
                true => Ok(Location::Directory(path.into())),
                false => Err(wrong("after file:// stands an absolute path, as in file:///mnt/mirror")),
            };
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.contains("://") {
                true => Err(wrong("it begins with file:// or s3://")),
                false if text.is_empty() => Err(wrong("it is empty")),
                false => Ok(Location::Directory(text.into())),
            };
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut access = Access::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match key {
                "endpoint" => access.endpoint = Some(value),
                "region" => access.region = Some(value),
                "credentials" => access.credentials = Some(value.into()),
                "ca" => access.ca = Some(value.into()),
                _ => return Err(wrong("parameters are endpoint, region, credentials and ca")),
            }
        }
        Location::bucket(&format!("s3://{place}"), access)
    }

    /// A bucket by its address without parameters, reached as `access` says.
    ///
    /// # Errors
    /// [`MirrorError::Location`].
    pub fn bucket(text: &str, access: Access) -> Result<Location, MirrorError> {
        let wrong = |rule: &str| MirrorError::Location(format!("`{text}`: {rule}"));
        let place = text.strip_prefix("s3://").unwrap_or(text);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err(wrong("after s3:// stands the name of a bucket, then /PREFIX"));
        }
        let prefix = prefix.trim_matches('/');
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(wrong("a prefix has letters, digits, `.`, `-`, `_` and `/`"));
        }
        access.check().map_err(|rule| wrong(&rule))?;
        Ok(Location::Bucket(S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            access,
        }))
    }

    /// The same place `folder` below.
    #[must_use]
    pub fn below(&self, folder: &str) -> Location {
        match self {
            Location::Directory(path) => Location::Directory(path.join(folder)),
            Location::Bucket(s3) => {
                let prefix = [s3.prefix.as_str(), folder].join("/").trim_matches('/').to_owned();
                Location::Bucket(S3 { prefix, ..s3.clone() })
            }
        }
    }

    /// The place, ready to be read and written.
    pub(crate) fn open(&self) -> Result<Box<dyn Store>, MirrorError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        self.open_on(&disk)
    }

    /// The same; what is written to a directory goes to `disk`.
    pub(crate) fn open_on(&self, disk: &Arc<dyn Disk>) -> Result<Box<dyn Store>, MirrorError> {
        Ok(match self {
            Location::Directory(path) => Box::new(Directory::new(path.clone(), Arc::clone(disk))),
            Location::Bucket(s3) => Box::new(Bucket::open(s3)?),
        })
    }
}

impl std::fmt::Display for Location {
    /// Without credentials, and without how it is reached.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Directory(path) => write!(f, "file://{}", path.display()),
            Location::Bucket(s3) => write!(f, "s3://{}/{}", s3.bucket, s3.prefix),
        }
    }
}

impl Access {
    /// What fits together and what does not.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn check(&self) -> Result<(), String> {
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        let tls = endpoint.starts_with("https://");
        if !tls && !endpoint.starts_with("http://") {
            return Err("endpoint begins with http:// or https://".to_owned());
        }
        match (tls, &self.ca) {
            (true, None) => {
                Err("ca is needed with https: a PEM file of the authorities that vouch for the endpoint".to_owned())
            }
            (false, Some(_)) => Err("ca has no meaning with an http:// endpoint".to_owned()),
            _ if self.credentials.is_none() => Err("a credentials file is needed".to_owned()),
            _ => Ok(()),
        }
    }

    /// Reads the credentials: lines `name = value` as in the file that Amazon's tools use; sections are not told apart.
    pub(crate) fn read_credentials(&self) -> Result<Credentials, MirrorError> {
        let path = self.credentials.as_deref().unwrap_or(Path::new(""));
        let wrong = |rule: &str| MirrorError::Location(format!("{}: {rule}", path.display()));
        let meta = std::fs::metadata(path).map_err(super::error::io("read", path))?;
        if meta.mode() & 0o077 != 0 {
            return Err(wrong("others may read these credentials; run: chmod 600 on the file"));
        }
        let text = std::fs::read_to_string(path).map_err(super::error::io("read", path))?;
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let mut found = lines.filter(|(key, _)| key.trim() == name);
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        match (value("aws_access_key_id"), value("aws_secret_access_key")) {
            (Some(key_id), Some(secret_key)) => Ok(Credentials {
                key_id,
                secret_key,
                token: value("aws_session_token"),
            }),
            _ => Err(wrong(
                "it needs the lines aws_access_key_id = … and aws_secret_access_key = …",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            Location::parse("file:///mnt/b").unwrap(),
            Location::Directory("/mnt/b".into())
        );
        assert_eq!(Location::parse("/mnt/b").unwrap(), Location::Directory("/mnt/b".into()));
        let text = "s3://b1/jisr/mol?endpoint=http%3A%2F%2F127.0.0.1:9000&region=jo&credentials=/etc/c";
        let Location::Bucket(s3) = Location::parse(text).unwrap() else {
            panic!("it is a bucket");
        };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("b1", "jisr/mol"));
        assert_eq!(s3.access.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(Location::Bucket(s3.clone()).to_string(), "s3://b1/jisr/mol");
        assert_eq!(
            Location::Bucket(s3).below("ledger").to_string(),
            "s3://b1/jisr/mol/ledger"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for text in [
            "",
            "ftp://x/y",
            "file://relative",
            "s3://",
            "s3:///x",
            "s3://b/../x?credentials=c&endpoint=http://h",
            "s3://b/x",
            "s3://b/x?credentials=c",
            "s3://b/x?endpoint=http://h",
            "s3://b/x?credentials=c&endpoint=http://h&ca=f",
            "s3://b/x?credentials=c&endpoint=gopher://h",
            "s3://b/x?credentials=c&endpoint=http://h&colour=red",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(
            &path,
            "[default]\naws_access_key_id = AK\naws_secret_access_key = s=3\n",
        )
        .unwrap();
        let access = Access {
            credentials: Some(path.clone()),
            ..Access::default()
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(access.read_credentials().is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let read = access.read_credentials().unwrap();
        assert_eq!((read.key_id.as_str(), read.secret_key.as_str()), ("AK", "s=3"));
    }
}
