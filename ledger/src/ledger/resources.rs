//! The ledger as what C2SP tlog-tiles serves: checkpoint, hash tiles, bundles of leaf inputs. A partial tile is the beginning of
//! what there is.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Ledger, ReadError};
use crate::Hash;
use crate::tlog::{Resource, WIDTH};
use crate::tree::Nodes;

impl Ledger {
    /// The bytes of a resource; `None` where the ledger is not that long. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn resource(&self, resource: Resource) -> Result<Option<Bytes>, ReadError> {
        match resource {
            Resource::Checkpoint => Ok(self.signed().map(|(_, note)| note)),
            Resource::Tile { level, number, width } => Ok(self.tile(level, number, width)),
            Resource::Entries { number, width } => self.bundle(number, width),
        }
    }

    fn tile(&self, level: u8, number: u64, width: u16) -> Option<Bytes> {
        self.derived(self.size())?;
        let height = level.checked_mul(8)?;
        let mut tile = BytesMut::with_capacity(usize::from(width) * size_of::<Hash>());
        for index in indexes(number, width)? {
            tile.put_slice(&self.0.tiles.node(height, index)?);
        }
        Some(tile.freeze())
    }

    fn bundle(&self, number: u64, width: u16) -> Result<Option<Bytes>, ReadError> {
        let within = indexes(number, width).filter(|indexes| indexes.end <= self.size());
        let Some(indexes) = within else { return Ok(None) };
        let mut bundle = BytesMut::with_capacity(usize::from(width) * (2 + size_of::<Hash>()));
        for index in indexes {
            let Some(entry) = self.entry(index)? else {
                return Ok(None);
            };
            bundle.put_u16(32);
            bundle.put_slice(&entry.statement.leaf());
        }
        Ok(Some(bundle.freeze()))
    }
}

/// What a tile spans in its level.
fn indexes(number: u64, width: u16) -> Option<std::ops::Range<u64>> {
    let first = number.checked_mul(WIDTH.into())?;
    Some(first..first.checked_add(width.into())?)
}
