//! The ledger as what C2SP tlog-tiles serves: checkpoint, hash tiles, bundles of leaf inputs. A partial tile is the beginning of
//! what there is.

use bytes::Bytes;

use super::tiles::bundle_bytes;
use super::{Ledger, ReadError};
use crate::tlog::Resource;

impl Ledger {
    /// The bytes of a resource; `None` where the ledger is not that long. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn resource(&self, resource: Resource) -> Result<Option<Bytes>, ReadError> {
        match resource {
            Resource::Checkpoint => Ok(self.signed().map(|(_, note)| note)),
            Resource::Tile { level, number, width } => Ok(self.tile(level, number, width)),
            Resource::Entries { number, width } => Ok(self.bundle(number, width)),
        }
    }

    fn tile(&self, level: u8, number: u64, width: u16) -> Option<Bytes> {
        self.derived(self.size())?;
        self.0.tiles.tile_bytes(level, number, width.into()).map(Bytes::from)
    }

    fn bundle(&self, number: u64, width: u16) -> Option<Bytes> {
        self.derived(self.size())?;
        let inputs = self.0.tiles.inputs(number, width.into())?;
        Some(bundle_bytes(&inputs).into())
    }
}
