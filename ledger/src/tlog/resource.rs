//! Paths of C2SP tlog-tiles: checkpoint, hash tiles and entry bundles.

use std::fmt;

use crate::note::decimal;

/// Hashes of a full tile, entries of a full bundle.
pub const WIDTH: u16 = 256;
/// Deepest level of tiles.
const LEVEL_MAX: u64 = 63;
/// Longest path that is read: a number below 2^64 has 7 groups.
const PATH_BYTES_MAX: usize = 64;

/// What can be fetched of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The newest checkpoint.
    Checkpoint,
    /// A hash tile.
    Tile {
        /// 0 to 63; each hash of level n is over 256^n leaves.
        level: u8,
        /// Number of the tile in its level.
        number: u64,
        /// How many hashes: 1 to 256.
        width: u16,
    },
    /// A bundle of leaf inputs, each behind its length as `u16`.
    Entries {
        /// Number of the bundle.
        number: u64,
        /// How many entries: 1 to 256.
        width: u16,
    },
}

impl Resource {
    /// Reads a path such as `/tile/0/x001/234.p/5`.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let path = path.strip_prefix('/')?;
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((number, width)) => (number, partial(width)?),
        };
        let number = number_of(number)?;
        if level == "entries" {
            return Some(Self::Entries { number, width });
        }
        let level = decimal(level).filter(|level| *level <= LEVEL_MAX)?;
        Some(Self::Tile {
            level: u8::try_from(level).ok()?,
            number,
            width,
        })
    }
}

impl fmt::Display for Resource {
    /// The path, with the leading slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, width) = match *self {
            Self::Checkpoint => return f.write_str("/checkpoint"),
            Self::Tile { level, number, width } => {
                write!(f, "/tile/{level}/")?;
                (number, width)
            }
            Self::Entries { number, width } => {
                f.write_str("/tile/entries/")?;
                (number, width)
            }
        };
        f.write_str(&path_of(number))?;
        if width == WIDTH {
            Ok(())
        } else {
            write!(f, ".p/{width}")
        }
    }
}

/// The number of a tile as a path: groups of three digits, all but the last with an `x` before them.
fn path_of(number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn number_of(path: &str) -> Option<u64> {
    let (first, last) = path.rsplit_once('/').unwrap_or(("", path));
    let groups = first.split('/').filter(|_| !first.is_empty());
    let mut number = 0u64;
    for group in groups.map(|group| group.strip_prefix('x')).chain([Some(last)]) {
        let group = group?;
        if group.len() != 3 || !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number = number.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    // One path for each number: no groups of zeros in front.
    (path_of(number) == path).then_some(number)
}

fn partial(width: &str) -> Option<u16> {
    let width = decimal(width).and_then(|width| u16::try_from(width).ok())?;
    (1..WIDTH).contains(&width).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_standard() {
        for (path, resource) in [
            ("/checkpoint", Resource::Checkpoint),
            (
                "/tile/0/000",
                Resource::Tile {
                    level: 0,
                    number: 0,
                    width: 256,
                },
            ),
            (
                "/tile/63/x001/x234/067",
                Resource::Tile {
                    level: 63,
                    number: 1_234_067,
                    width: 256,
                },
            ),
            (
                "/tile/1/x001/000.p/255",
                Resource::Tile {
                    level: 1,
                    number: 1000,
                    width: 255,
                },
            ),
            ("/tile/entries/999.p/1", Resource::Entries { number: 999, width: 1 }),
            (
                "/tile/entries/x018/x446/x744/x073/x709/x551/615",
                Resource::Entries {
                    number: u64::MAX,
                    width: 256,
                },
            ),
        ] {
            assert_eq!(Resource::parse(path), Some(resource), "{path}");
            assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn other_paths_are_none() {
        for path in [
            "",
            "/",
            "checkpoint",
            "/checkpoint/",
            "/tile/0",
            "/tile/0/",
            "/tile/64/000",
            "/tile/00/000",
            "/tile/0/0",
            "/tile/0/x000/000",
            "/tile/0/001/000",
            "/tile/0/x001/x000",
            "/tile/0/1000",
            "/tile/0/../../etc/passwd",
            "/tile/0/000.p/0",
            "/tile/0/000.p/256",
            "/tile/0/000.p/01",
            "/tile/0/000.p/",
            "/tile/0/000.p/1.p/1",
            "/tile/entries/x018/x446/x744/x073/x709/x551/616",
            "/tile/entries/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_path_has_one_form(level in 0u8..64, number: u64, width in 1u16..=256, any: String) {
            for resource in [Resource::Tile { level, number, width }, Resource::Entries { number, width }] {
                proptest::prop_assert_eq!(Resource::parse(&resource.to_string()), Some(resource));
            }
            if let Some(resource) = Resource::parse(&any) {
                proptest::prop_assert_eq!(resource.to_string(), any);
            }
        }
    }
}
