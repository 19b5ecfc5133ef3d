//! The anchor that a verifier is given.

use std::path::Path;

use jisr_ledger::anchor::Anchor;

use crate::failure::Failure;
use crate::output;

/// Reads an anchor file (docs/formats.md, anchor).
pub(crate) fn read(path: &Path) -> Result<Anchor, Failure> {
    output::read_text(path)?.parse().map_err(|error| {
        Failure::unusable(
            path,
            error,
            "name the anchor of the network; whoever runs the registry gets it with `jisr registry anchor`",
        )
    })
}
