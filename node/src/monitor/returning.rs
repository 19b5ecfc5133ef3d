//! A registry whose disk was set back gets the entries that it lost from the nodes that read them.

use std::ops::Range;

use jisr_proto::registry::GiveBackRequest;
use prost::Message as _;

use crate::closets::Closets;

/// Entries of one call.
const AT_ONCE: usize = 64;
/// Bytes of one call; a single entry may be longer.
const BYTES_MAX: usize = 1 << 20;

/// Gives back what is kept here of the entries that the registry says it lacks.
///
/// # Errors
/// It does not take them, in words.
pub(crate) async fn give_back(closets: &Closets, lacks: Range<u64>) -> Result<(), String> {
    let mut next = lacks.start;
    while next < lacks.end {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while next < lacks.end && entries.len() < AT_ONCE && bytes < BYTES_MAX {
            // Past what was read nothing is kept.
            let Some(read) = closets.followed.kept(next).await else {
                next = lacks.end;
                break;
            };
            next += 1;
            bytes += read.as_ref().map_or(0, |sealed| sealed.encoded_len());
            entries.extend(read);
        }
        if entries.is_empty() {
            continue;
        }
        tracing::warn!(
            entries = entries.len(),
            "the registry lost entries of its ledger; they are given back"
        );
        let request = GiveBackRequest { entries };
        let told = closets.registry.client().give_back(request).await;
        told.map_err(|status| status.message().to_owned())?;
    }
    Ok(())
}
