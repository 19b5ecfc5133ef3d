//! Names and bytes of the files (C2SP tlog-tiles).

use std::path::{Path, PathBuf};

use crate::Hash;

/// An entry bundle: for each entry `u16` 32 ‖ leaf input.
pub(crate) fn bundle_bytes(inputs: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inputs.len() * 34);
    for input in inputs {
        bytes.extend_from_slice(&[0, 32]);
        bytes.extend_from_slice(input);
    }
    bytes
}

/// The leaf inputs of an entry bundle.
pub(super) fn parse_bundle(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (entries, rest) = bytes.as_chunks::<34>();
    let entry = |entry: &[u8; 34]| entry.strip_prefix(&[0, 32]).and_then(|input| input.try_into().ok());
    if rest.is_empty() {
        entries.iter().map(entry).collect()
    } else {
        None
    }
}

/// The number of a tile as a path: groups of three digits, all but the last with an `x` before them.
pub(crate) fn tile_path(number: u64) -> PathBuf {
    let mut path = Path::new(&format!("{:03}", number % 1000)).to_owned();
    let mut rest = number / 1000;
    while rest > 0 {
        path = Path::new(&format!("x{:03}", rest % 1000)).join(path);
        rest /= 1000;
    }
    path
}
