//! Stored statements, opened as far as they rest in the clear or the keys go.

use bytes::Bytes;

use crate::frame::{Form, StoredPart, StoredParts};
use crate::statement::{Opened, Parsed, Part, Tag, part_hash};
use crate::vault::{KeyName, Vault};

/// A stored statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The statement; parts that are not opened are withheld.
    pub statement: Parsed,
    /// Parts that were erased.
    pub erased: Vec<Tag>,
    /// Parts that are encrypted and were not opened: no keys were given, or the key is destroyed.
    pub sealed: Vec<Tag>,
}

impl Entry {
    /// From its bytes, which lie in `body`.
    pub(super) fn read(body: &Bytes, stored: &[u8], vault: Option<&Vault>) -> Result<Self, String> {
        let stored = StoredParts::new(stored).map_err(|error| error.to_string())?;
        let (mut parts, mut erased, mut sealed) = (Vec::with_capacity(stored.left()), Vec::new(), Vec::new());
        for part in stored {
            let part = part.map_err(|error| error.to_string())?;
            let read = opened(body, &part, vault)?;
            match part.form {
                Form::Erased { .. } => erased.push(part.tag),
                Form::Encrypted { .. } if read.opened.is_none() => sealed.push(part.tag),
                _ => {}
            }
            parts.push(read);
        }
        let statement = Parsed::from_parts(parts).map_err(|error| error.to_string())?;
        Ok(Self {
            statement,
            erased,
            sealed,
        })
    }
}

fn opened(body: &Bytes, stored: &StoredPart<'_>, vault: Option<&Vault>) -> Result<Part, String> {
    let withheld = stored.part(body);
    let (
        Form::Encrypted {
            hash,
            month,
            class,
            nonce,
            sealed,
        },
        Some(vault),
    ) = (stored.form, vault)
    else {
        return Ok(withheld);
    };
    let plain = vault
        .unseal(KeyName { month, class }, hash, *nonce, sealed)
        .map_err(|error| error.to_string())?;
    let Some(plain) = plain else { return Ok(withheld) };
    let whole = plain
        .split_first_chunk::<32>()
        .filter(|(salt, content)| part_hash(stored.tag, salt, content) == *hash);
    let (salt, content) = whole.ok_or_else(|| format!("the part {} opens to something else", stored.tag.name()))?;
    Ok(Part {
        opened: Some(Opened {
            salt: *salt,
            content: Bytes::copy_from_slice(content),
        }),
        ..withheld
    })
}
