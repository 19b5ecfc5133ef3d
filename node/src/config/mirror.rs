//! Where the ledger is mirrored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Wrong;
use crate::mirroring::{Access, Location, Mirror};

/// `[[mirror]]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MirrorRaw {
    url: String,
    endpoint: Option<String>,
    region: Option<String>,
    credentials_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    interval_ms: Option<u64>,
    bytes_per_s: Option<u64>,
}

/// Pause between two looks at the ledger: about what a lost machine takes with it.
const INTERVAL_MS: u64 = 250;
/// Most bytes a second: a mirror that catches up leaves the disk to the exchanges.
const BYTES_PER_S: u64 = 32 << 20;

/// Checks the rows, each place once, with paths taken from the data directory `data`.
pub(super) fn check(rows: Vec<MirrorRaw>, data: &Path) -> Result<Vec<Mirror>, Wrong> {
    let mirrors: Vec<_> = rows.into_iter().map(|row| row.check(data)).collect::<Result<_, _>>()?;
    for (at, mirror) in mirrors.iter().enumerate() {
        if mirrors
            .iter()
            .skip(at + 1)
            .any(|other| other.location == mirror.location)
        {
            return Err(("mirror.url", format!("`{}` stands twice; leave one", mirror.location)));
        }
    }
    Ok(mirrors)
}

impl MirrorRaw {
    /// Checked, with paths taken from the data directory `data`.
    fn check(self, data: &Path) -> Result<Mirror, Wrong> {
        let apart = |key: &'static str, path: Option<PathBuf>| match path {
            Some(path) if !path.is_absolute() || path.starts_with(data) => {
                let rule = "is an absolute path outside the data directory: it opens what lies in the mirror";
                Err((key, rule.to_owned()))
            }
            path => Ok(path),
        };
        let secret_file = apart("mirror.secret_file", self.secret_file)?;
        let given = Access {
            endpoint: self.endpoint,
            region: self.region,
            credentials: apart("mirror.credentials_file", self.credentials_file)?,
            ca: self.ca.map(|ca| data.join(ca)),
        };
        Ok(Mirror {
            location: location(&self.url, given, data)?,
            secret_file,
            interval: Duration::from_millis(
                within(self.interval_ms.unwrap_or(INTERVAL_MS), 10..=3_600_000).ok_or_else(|| {
                    let rule = "lies between 10 and 3600000 milliseconds";
                    ("mirror.interval_ms", rule.to_owned())
                })?,
            ),
            bytes_per_s: within(self.bytes_per_s.unwrap_or(BYTES_PER_S), 1 << 16..=1 << 40)
                .ok_or_else(|| ("mirror.bytes_per_s", "lies between 65536 and 1099511627776".to_owned()))?,
        })
    }
}

fn within(value: u64, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    range.contains(&value).then_some(value)
}

/// How a bucket is reached stands in keys of its own here.
fn location(url: &str, given: Access, data: &Path) -> Result<Location, Wrong> {
    let wrong = |rule: String| ("mirror.url", rule);
    if let Some(rest) = url.strip_prefix("s3://") {
        if rest.contains('?') {
            return Err(wrong(
                "stands without parameters; write endpoint, region, credentials_file and ca beside it".to_owned(),
            ));
        }
        return Location::bucket(url, given).map_err(|error| wrong(error.to_string()));
    }
    if given != Access::default() {
        let rule = "endpoint, region, credentials_file and ca belong to an s3:// address".to_owned();
        return Err(wrong(rule));
    }
    match Location::parse(url).map_err(|error| wrong(error.to_string()))? {
        Location::Directory(path) if !path.is_absolute() || path.starts_with(data) || data.starts_with(&path) => {
            Err(wrong(
                "is a directory on another disk, file:///PATH, neither in the data directory nor around it".to_owned(),
            ))
        }
        location => Ok(location),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<Mirror, Wrong> {
        toml::from_str::<MirrorRaw>(toml)
            .unwrap()
            .check(Path::new("/var/lib/jisr"))
    }

    #[test]
    fn mirrors_are_read() {
        let mirror = check("url = \"file:///mnt/b\"\nsecret_file = \"/etc/jisr/secret\"").unwrap();
        assert_eq!(mirror.location, Location::Directory("/mnt/b".into()));
        let mirror = check(
            "url = \"s3://b/p\"\nendpoint = \"https://s3.jo:9000\"\nca = \"s3-ca.pem\"\ncredentials_file = \"/etc/jisr/s3\"",
        )
        .unwrap();
        let Location::Bucket(s3) = mirror.location else {
            panic!("it is a bucket")
        };
        assert_eq!(s3.access.ca, Some("/var/lib/jisr/s3-ca.pem".into()));
    }

    #[test]
    fn what_would_undo_the_mirror_is_refused() {
        for toml in [
            "url = \"mnt/b\"",
            "url = \"file:///var/lib/jisr/mirror\"",
            "url = \"file:///var/lib\"",
            "url = \"file:///mnt/b\"\nendpoint = \"http://x\"",
            "url = \"file:///mnt/b\"\nsecret_file = \"secret\"",
            "url = \"file:///mnt/b\"\nsecret_file = \"/var/lib/jisr/secret\"",
            "url = \"s3://b/p\"",
            "url = \"s3://b/p?endpoint=http://x&credentials=/c\"",
            "url = \"s3://b/p\"\nendpoint = \"https://x\"\ncredentials_file = \"/c\"",
            "url = \"file:///mnt/b\"\ninterval_ms = 1",
            "url = \"file:///mnt/b\"\nbytes_per_s = 1",
        ] {
            assert!(check(toml).is_err(), "{toml}");
        }
    }
}
