//! A statement of one's own, from its first field to its leaf.

use super::{Parsed, Part, PayloadCommitment, Tag, leaf_input, payload::fill};
use crate::{seal::Sealed, tree::Hash, verified::Verified};
use bytes::Bytes;
use jisr_proto::{
    canonical,
    statement::{self as wire, Citation, Core, Subject},
};
use prost::Message;

/// An own statement that is being built. `format`, `tags` and `payload_bytes` of its core are filled in when it is closed.
#[derive(Debug)]
pub struct Draft {
    core: Core,
    /// Contents by tag, but PAYLOAD, whose salt is older than the others.
    contents: Vec<(Tag, Bytes)>,
    payload: Option<PayloadCommitment>,
    attached: Option<Box<Verified<Sealed>>>,
    kept: Option<Bytes>,
}

impl Draft {
    /// Begins with the core.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self {
            core,
            contents: Vec::with_capacity(6),
            payload: None,
            attached: None,
            kept: None,
        }
    }

    fn with(mut self, tag: Tag, content: Bytes) -> Self {
        // A second content for a tag replaces the first: no tag stands twice.
        self.contents.retain(|(present, _)| *present != tag);
        self.contents.push((tag, content));
        self
    }

    /// Sets the purpose code; as all texts that follow, one that passed [`super::check_text`].
    #[must_use]
    pub fn purpose(self, text: &str) -> Self {
        self.with(Tag::Purpose, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Sets the case reference.
    #[must_use]
    pub fn case(self, text: &str) -> Self {
        self.with(Tag::Case, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Sets the officer reference.
    #[must_use]
    pub fn officer(self, text: &str) -> Self {
        self.with(Tag::Officer, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Sets the consent reference.
    #[must_use]
    pub fn consent(self, text: &str) -> Self {
        self.with(Tag::Consent, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Sets the legal duty.
    #[must_use]
    pub fn duty(self, text: &str) -> Self {
        self.with(Tag::Duty, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Sets the persons the exchange is about.
    #[must_use]
    pub fn subject(self, subject: &Subject) -> Self {
        self.with(Tag::Subject, canonical::encode(subject))
    }

    /// Commits to a message that lies in memory.
    #[must_use]
    pub fn payload(self, message: &[u8]) -> Self {
        self.commitment(PayloadCommitment::to(message))
    }

    /// Commits to a message that was hashed while it streamed by.
    #[must_use]
    pub fn commitment(mut self, commitment: PayloadCommitment) -> Self {
        self.payload = Some(commitment);
        self
    }

    /// Cites the other side's statement.
    #[must_use]
    pub fn peer(self, citation: &Citation) -> Self {
        self.with(Tag::Peer, canonical::encode(citation))
    }

    /// Lets the ledger store, encrypted, the message that the statement commits to or, where it commits to none, the one that
    /// the attached statement commits to. For methods that ask for it only.
    #[must_use]
    pub fn keep(mut self, message: Bytes) -> Self {
        self.kept = Some(message);
        self
    }

    /// Sets the body of an administrative act.
    #[must_use]
    pub fn act<M: Message>(self, act: &M) -> Self {
        self.with(Tag::Act, canonical::encode(act))
    }

    /// Stores the cited statement of the other side together with this one.
    #[must_use]
    pub fn attach(mut self, cited: Verified<Sealed>) -> Self {
        self.attached = Some(Box::new(cited));
        self
    }

    /// Cites the other side's statement and stores it together with this one.
    #[must_use]
    pub fn citing(self, cited: Verified<Sealed>) -> Self {
        self.peer(&cited.citation()).attach(cited)
    }

    /// Draws the salts and computes the leaf.
    #[must_use]
    pub fn close(mut self) -> Closed {
        let mut salts = [0u8; 32 * super::PARTS_MAX];
        let drawn = self.contents.len() + 1;
        // One request to the system's random source for all salts, and none for absent parts.
        fill(
            salts
                .get_mut(..32 * drawn)
                .expect("no tag stands twice, so there is a salt for each part"),
        );
        self.close_with(&salts)
    }

    /// Closes with given salts: the first for CORE, then one for each other part by ascending tag, but PAYLOAD.
    /// Only for test vectors, which must come out the same each time.
    #[must_use]
    pub fn dangerous_close_with_salts(mut self, salts: &[u8; 320]) -> Closed {
        self.close_with(salts)
    }

    fn close_with(&mut self, salts: &[u8; 320]) -> Closed {
        self.contents.sort_unstable_by_key(|(tag, _)| *tag);
        let (mut salts, _) = salts.as_chunks::<32>();
        let mut next_salt = || {
            let (salt, rest) = salts.split_first().expect("there is a salt for each part");
            salts = rest;
            *salt
        };
        let payload = self.payload.map(|payload| (Tag::Payload, payload.content()));
        let tags = self.contents.iter().map(|(tag, _)| tag.number());
        let mut tags: Vec<u8> = std::iter::once(Tag::Core.number()).chain(tags).collect();
        if payload.is_some() {
            tags.push(Tag::Payload.number());
            tags.sort_unstable();
        }
        let mut core = std::mem::take(&mut self.core);
        core.format = 1;
        core.payload_bytes = self.payload.map_or(0, |payload| payload.bytes);
        core.tags = tags.into();
        let mut parts = Vec::with_capacity(core.tags.len());
        parts.push(Part::open(Tag::Core, next_salt(), canonical::encode(&core)));
        for (tag, content) in self.contents.drain(..) {
            parts.push(Part::open(tag, next_salt(), content));
        }
        if let (Some((tag, content)), Some(commitment)) = (payload, self.payload) {
            let at = parts.partition_point(|part| part.tag < tag);
            parts.insert(at, Part::open(tag, commitment.salt, content));
        }
        let leaf = leaf_input(parts.iter().map(|part| &part.hash));
        Closed {
            core,
            parts,
            leaf,
            attached: self.attached.take(),
            kept: self.kept.take(),
        }
    }
}

/// An own statement that is ready for the ledger.
#[derive(Clone, Debug)]
pub struct Closed {
    core: Core,
    parts: Vec<Part>,
    leaf: Hash,
    attached: Option<Box<Verified<Sealed>>>,
    kept: Option<Bytes>,
}

impl Closed {
    /// A statement that stood in this ledger before, as those hold it whom it was shown; `None` where a part is withheld.
    #[must_use]
    pub fn again(statement: &Parsed) -> Option<Self> {
        let is_open = statement.parts().iter().all(|part| part.opened.is_some());
        is_open.then(|| Self {
            core: statement.core().clone(),
            parts: statement.parts().to_vec(),
            leaf: statement.leaf(),
            attached: None,
            kept: None,
        })
    }

    /// The message to be stored with it, and the PAYLOAD part that commits to it with the time of that part's statement.
    #[must_use]
    pub fn kept(&self) -> Option<(&Bytes, &Part, u64)> {
        let own = self.parts.iter().find(|part| part.tag == Tag::Payload);
        let own = own.map(|part| (part, self.core.created_us));
        let cited = || {
            let parsed = &self.attached.as_deref()?.statement;
            Some((parsed.part(Tag::Payload)?, parsed.core().created_us))
        };
        let (part, created_us) = own.or_else(cited)?;
        Some((self.kept.as_ref()?, part, created_us))
    }

    /// Leaf input: what will stand in the tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// Its core, complete.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Its parts by ascending tag, all opened.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The cited statement of the other side, to be stored with it.
    #[must_use]
    pub fn attached(&self) -> Option<&Verified<Sealed>> {
        self.attached.as_deref()
    }

    /// The statement with all parts in the open, as it is sent.
    #[must_use]
    pub fn statement(&self) -> wire::Statement {
        let part = |part: &Part| {
            let opened = part.opened.as_ref()?;
            Some(wire::Part {
                tag: u32::from(part.tag.number()),
                salt: Bytes::copy_from_slice(&opened.salt),
                content: opened.content.clone(),
            })
        };
        wire::Statement {
            parts: self.parts.iter().filter_map(part).collect(),
        }
    }

    /// The same statement as others will read it.
    ///
    /// # Errors
    /// It was built against the rules of docs/formats.md, for example with a text that was not checked.
    pub fn parsed(&self) -> Result<Parsed, super::StatementError> {
        Parsed::from_parts(self.parts.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::asked;
    use super::*;

    #[test]
    fn salts_are_drawn_anew_and_parts_ascend() {
        let close = || {
            Draft::new(asked())
                .officer("o")
                .purpose("p")
                .case("c")
                .payload(b"")
                .close()
        };
        let (one, other) = (close(), close());
        assert_ne!(one.leaf(), other.leaf());
        assert!(one.parts().is_sorted_by(|a, b| a.tag < b.tag));
        let mut salts: Vec<_> = one.parts().iter().chain(other.parts()).collect();
        salts.dedup_by_key(|part| part.opened.as_ref().expect("own parts are open").salt);
        assert_eq!(salts.len(), one.parts().len() * 2);
        assert!(one.parsed().is_ok());
    }

    #[test]
    fn a_second_text_replaces_the_first() {
        let closed = Draft::new(asked()).purpose("a").purpose("b").payload(b"x").close();
        assert_eq!(closed.parsed().expect("good").purpose(), Some("b"));
    }
}
