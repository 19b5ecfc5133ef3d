//! What stands of a service in the catalogue besides its schema.

use std::fmt;
use std::str::FromStr;

use crate::snapshot::Service;

/// Version of a publication: `MAJOR.MINOR.PATCH` of Semantic Versioning 2.0.0, without pre-release or build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Counts breaks.
    pub major: u32,
    /// Counts what was added.
    pub minor: u32,
    /// Counts what was mended.
    pub patch: u32,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version; a version is MAJOR.MINOR.PATCH, for example 1.4.0")]
pub struct VersionError(String);

impl Version {
    /// That of a first publication.
    pub const FIRST: Version = Version {
        major: 1,
        minor: 0,
        patch: 0,
    };

    /// The next one for what was added.
    pub fn next_minor(self) -> Version {
        Version {
            minor: self.minor.saturating_add(1),
            patch: 0,
            ..self
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        let wrong = || VersionError(text.escape_debug().take(64).collect());
        let number = |part: &str| {
            let plain = part == "0" || !part.starts_with('0');
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| plain && digits)
        };
        let parts: Option<Vec<u32>> = text.split('.').map(number).collect();
        match parts.as_deref() {
            Some(&[major, minor, patch]) => Ok(Version { major, minor, patch }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Service {
    /// Whether agreements that name this schema, by its digest, hold under this publication.
    pub fn holds(&self, schema: &[u8]) -> bool {
        self.schema == schema || self.continues.iter().any(|earlier| earlier == schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.10.0") > version("1.9.9") && version("2.0.0") > version("1.10.0"));
        assert_eq!(version("1.4.2").next_minor().to_string(), "1.5.0");
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "1.0.0-rc1",
            "1.0.x",
            "+1.0.0",
            "1..0",
            "4294967296.0.0",
            "١.٠.٠",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
