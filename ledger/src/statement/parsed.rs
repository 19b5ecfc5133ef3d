//! A statement as it came: its bytes, checked and taken apart.

use super::{
    Act, CONTENT_BYTES_MAX, CoreView, PARTS_MAX, PayloadHasher, StatementError, Tag, leaf_input, part_hash,
    payload::digest_of, shape, text::check_text,
};
use crate::tree::Hash;
use bytes::Bytes;
use jisr_proto::{
    canonical,
    statement::{self as wire, Citation, Core, Kind, Subject},
};

/// Salt and content of a part that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its salt.
    pub salt: [u8; 32],
    /// Its content.
    pub content: Bytes,
}

/// A part: its hash, and what it holds where that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub tag: Tag,
    /// Its hash, which the leaf covers.
    pub hash: Hash,
    /// What it holds; `None` where it is withheld, encrypted or erased.
    pub opened: Option<Opened>,
    /// It was erased where it was read from, or is said to have been.
    pub erased: bool,
}

impl Part {
    /// A part that is shown.
    #[must_use]
    pub fn open(tag: Tag, salt: [u8; 32], content: Bytes) -> Self {
        let hash = part_hash(tag, &salt, &content);
        Self {
            tag,
            hash,
            opened: Some(Opened { salt, content }),
            erased: false,
        }
    }
}

/// A part as it is handed over: shown with its tag, or by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Shown.
    Open(Part),
    /// Withheld: the tag follows from its place and `Core.tags`.
    Withheld(Hash),
    /// Withheld because it was erased.
    Erased(Hash),
}

/// A statement whose parts are all checked. What it says is not thereby true: only a seal makes it somebody's word.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    kind: Kind,
    core: Core,
    parts: Vec<Part>,
    leaf: Hash,
    citation: Option<Citation>,
    subject: Option<Subject>,
    act: Option<Act>,
}

impl Parsed {
    /// Checks a statement whose parts are all in the open.
    ///
    /// # Errors
    /// Any rule of docs/formats.md, Statement, that it breaks.
    pub fn parse(statement: &wire::Statement) -> Result<Self, StatementError> {
        if statement.parts.len() > PARTS_MAX {
            return Err(StatementError::Parts("there are more than tags"));
        }
        let mut parts = Vec::with_capacity(statement.parts.len());
        for part in &statement.parts {
            parts.push(open(part.tag, &part.salt, &part.content)?);
        }
        Self::from_parts(parts)
    }

    /// Checks a statement of which some parts are withheld.
    ///
    /// # Errors
    /// As [`Parsed::parse`]; also where CORE is withheld or the places do not match `Core.tags`.
    pub fn from_shown(shown: Vec<Shown>) -> Result<Self, StatementError> {
        let Some(Shown::Open(first)) = shown.first() else {
            return Err(StatementError::Parts("CORE is not shown first"));
        };
        let tags = core_of(first)?.tags;
        if tags.len() != shown.len() {
            return Err(StatementError::Parts(
                "Core.tags does not list the parts that are there",
            ));
        }
        let mut parts = Vec::with_capacity(shown.len());
        for (shown, number) in shown.into_iter().zip(&tags) {
            let tag = Tag::from_number(*number).ok_or(StatementError::Parts("Core.tags lists an unknown tag"))?;
            let is_erased = matches!(shown, Shown::Erased(_));
            parts.push(match shown {
                Shown::Open(part) => part,
                Shown::Withheld(hash) | Shown::Erased(hash) => Part {
                    tag,
                    hash,
                    opened: None,
                    erased: is_erased,
                },
            });
        }
        Self::from_parts(parts)
    }

    /// Checks a statement from its parts, whose hashes the caller has computed or read.
    pub(crate) fn from_parts(parts: Vec<Part>) -> Result<Self, StatementError> {
        let first = parts.first().ok_or(StatementError::Parts("there are none"))?;
        let core = core_of(first)?;
        let kind = listed(&CoreView::from(&core), parts.iter().map(|part| part.tag))?;
        let leaf = leaf_input(parts.iter().map(|part| &part.hash));
        let mut parsed = Self {
            kind,
            core,
            parts,
            leaf,
            citation: None,
            subject: None,
            act: None,
        };
        parsed.contents()?;
        Ok(parsed)
    }

    /// Checks what the shown parts besides CORE hold.
    fn contents(&mut self) -> Result<(), StatementError> {
        for part in self.parts.iter().skip(1) {
            let Some(opened) = &part.opened else { continue };
            let name = part.tag.name();
            let bad = |source| StatementError::Canonical { part: name, source };
            match part.tag {
                Tag::Subject => self.subject = Some(canonical::decode(&opened.content).map_err(bad)?),
                Tag::Peer => {
                    let citation: Citation = canonical::decode(&opened.content).map_err(bad)?;
                    citable(&citation.leaf, &citation.root, citation.index, citation.tree_size)?;
                    self.citation = Some(citation);
                }
                Tag::Act => self.act = Act::parse(self.kind, &opened.content)?,
                other => plain(other, &opened.content)?,
            }
        }
        Ok(())
    }

    /// What the statement says.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The part that is always shown.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Leaf input: what stands in the tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// All parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A part by its tag.
    #[must_use]
    pub fn part(&self, tag: Tag) -> Option<&Part> {
        self.parts.iter().find(|part| part.tag == tag)
    }

    /// Content of a part; `None` where it is absent or withheld.
    #[must_use]
    pub fn content(&self, tag: Tag) -> Option<&Bytes> {
        self.part(tag)?.opened.as_ref().map(|opened| &opened.content)
    }

    fn text(&self, tag: Tag) -> Option<&str> {
        self.content(tag).and_then(|content| str::from_utf8(content).ok())
    }

    /// Purpose code; `None`, as in all that follow, where the part is absent or withheld.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.text(Tag::Purpose)
    }

    /// Case reference.
    #[must_use]
    pub fn case(&self) -> Option<&str> {
        self.text(Tag::Case)
    }

    /// Officer reference.
    #[must_use]
    pub fn officer(&self) -> Option<&str> {
        self.text(Tag::Officer)
    }

    /// Consent reference.
    #[must_use]
    pub fn consent(&self) -> Option<&str> {
        self.text(Tag::Consent)
    }

    /// Legal duty.
    #[must_use]
    pub fn duty(&self) -> Option<&str> {
        self.text(Tag::Duty)
    }

    /// The persons the exchange is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// What the statement cites of the other side.
    #[must_use]
    pub fn citation(&self) -> Option<&Citation> {
        self.citation.as_ref()
    }

    /// The administrative act.
    #[must_use]
    pub fn act(&self) -> Option<&Act> {
        self.act.as_ref()
    }

    /// Whether the statement commits to exactly this message. `false` where it commits to none or withholds it.
    #[must_use]
    pub fn payload_matches(&self, message: &[u8]) -> bool {
        self.payload_hasher().is_some_and(|mut hasher| {
            hasher.update(message);
            self.payload_is(hasher)
        })
    }

    /// Starts the commitment of this statement's message, to be fed while it streams by and then given to
    /// [`Parsed::payload_is`].
    #[must_use]
    pub fn payload_hasher(&self) -> Option<PayloadHasher> {
        let opened = self.part(Tag::Payload)?.opened.as_ref()?;
        Some(PayloadHasher::with_salt(opened.salt))
    }

    /// Whether the message that was fed is the one that the statement commits to.
    #[must_use]
    pub fn payload_is(&self, hasher: PayloadHasher) -> bool {
        let found = hasher.finish();
        found.bytes == self.core.payload_bytes
            && self.content(Tag::Payload).and_then(|content| digest_of(content)) == Some(&found.digest)
    }

    /// The statement in the open; `None` where a part is withheld.
    #[must_use]
    pub fn to_wire(&self) -> Option<wire::Statement> {
        let parts = self.parts.iter().map(|part| {
            let opened = part.opened.as_ref()?;
            Some(wire::Part {
                tag: u32::from(part.tag.number()),
                salt: Bytes::copy_from_slice(&opened.salt),
                content: opened.content.clone(),
            })
        });
        Some(wire::Statement {
            parts: parts.collect::<Option<_>>()?,
        })
    }
}

/// Checks that CORE lists the parts that are there, and goes with them.
pub(super) fn listed(core: &CoreView<'_>, tags: impl Iterator<Item = Tag>) -> Result<Kind, StatementError> {
    if !core.tags.iter().copied().eq(tags.map(Tag::number)) {
        return Err(StatementError::Parts(
            "Core.tags does not list the parts that are there",
        ));
    }
    if !core.tags.is_sorted_by(|one, next| one < next) {
        return Err(StatementError::Parts("the tags do not ascend"));
    }
    shape::check(core)
}

/// Checks a content that is no message.
pub(super) fn plain(tag: Tag, content: &[u8]) -> Result<(), StatementError> {
    match tag {
        Tag::Purpose | Tag::Case | Tag::Officer | Tag::Consent | Tag::Duty => {
            let part = tag.name();
            check_text(content)
                .map(drop)
                .map_err(|why| StatementError::Text { part, why })
        }
        Tag::Payload => digest_of(content)
            .map(drop)
            .ok_or(StatementError::Unknown("its payload commitment's algorithm")),
        _ => Err(StatementError::Parts("CORE stands there twice")),
    }
}

/// Checks the fields of a citation.
pub(super) fn citable(leaf: &[u8], root: &[u8], index: u64, tree_size: u64) -> Result<(), StatementError> {
    if leaf.len() == 32 && root.len() == 32 && index < tree_size {
        return Ok(());
    }
    Err(StatementError::Parts("PEER cites what no tree can hold"))
}

/// One part from its fields.
fn open(tag: u32, salt: &[u8], content: &Bytes) -> Result<Part, StatementError> {
    let tag = u8::try_from(tag).ok().and_then(Tag::from_number);
    let tag = tag.ok_or(StatementError::Parts("a tag is unknown"))?;
    let salt = salt
        .try_into()
        .map_err(|_| StatementError::Parts("a salt is not 32 bytes long"))?;
    if content.len() > CONTENT_BYTES_MAX {
        return Err(StatementError::Parts("a content is longer than 4 MiB"));
    }
    Ok(Part::open(tag, salt, content.clone()))
}

impl Shown {
    /// A part from the fields of the wire: opened with tag, salt and content, or withheld with the hash alone.
    ///
    /// # Errors
    /// Both or neither are there, or a field is out of form.
    pub fn from_fields(tag: u32, salt: &Bytes, content: &Bytes, hash: &Bytes) -> Result<Self, StatementError> {
        if hash.is_empty() {
            return Ok(Self::Open(open(tag, salt, content)?));
        }
        if tag != 0 || !salt.is_empty() || !content.is_empty() {
            return Err(StatementError::Parts("a part is both shown and withheld"));
        }
        let hash = hash
            .as_ref()
            .try_into()
            .map_err(|_| StatementError::Parts("a part hash is not 32 bytes long"))?;
        Ok(Self::Withheld(hash))
    }
}

fn core_of(part: &Part) -> Result<Core, StatementError> {
    let Some(opened) = part.opened.as_ref().filter(|_| part.tag == Tag::Core) else {
        return Err(StatementError::Parts("CORE is not shown first"));
    };
    canonical::decode(&opened.content).map_err(|source| StatementError::Canonical {
        part: Tag::Core.name(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, shape::tests::asked};
    use super::*;

    fn statement() -> wire::Statement {
        let draft = Draft::new(asked())
            .purpose("work-permit-renewal")
            .case("قضية ١٢")
            .officer("officer7");
        draft.payload(b"hello").close().statement()
    }

    #[test]
    fn what_was_closed_parses_and_answers() {
        let closed = Draft::new(asked())
            .duty("Labour Law 12")
            .purpose("p")
            .payload(b"hello")
            .close();
        let parsed = Parsed::parse(&closed.statement()).expect("good");
        assert_eq!(parsed.leaf(), closed.leaf());
        assert_eq!(parsed.purpose(), Some("p"));
        assert_eq!(parsed.duty(), Some("Labour Law 12"));
        assert_eq!(parsed.case(), None);
        assert_eq!(parsed.core().tags.as_ref(), [1, 2, 6, 8]);
        assert!(parsed.payload_matches(b"hello"));
        assert!(!parsed.payload_matches(b"hallo"));
        assert_eq!(parsed.to_wire(), Some(closed.statement()));
    }

    #[test]
    fn any_part_can_be_withheld_but_core() {
        let wire = statement();
        let whole = Parsed::parse(&wire).expect("good");
        for withheld in 0..wire.parts.len() {
            let shown = whole.parts().iter().cloned().enumerate();
            let shown = shown.map(|(at, part)| {
                if at == withheld {
                    Shown::Withheld(part.hash)
                } else {
                    Shown::Open(part)
                }
            });
            match Parsed::from_shown(shown.collect()) {
                Ok(parsed) => assert!(withheld != 0 && parsed.leaf() == whole.leaf() && parsed.to_wire().is_none()),
                Err(_) => assert_eq!(withheld, 0),
            }
        }
    }

    #[test]
    fn broken_part_lists_are_refused() {
        let breaks: [fn(&mut wire::Statement); 9] = [
            |statement| statement.parts.clear(),
            |statement| statement.parts.swap(0, 1),
            |statement| statement.parts.swap(1, 2),
            |statement| drop(statement.parts.pop()),
            |statement| statement.parts.push(statement.parts[1].clone()),
            |statement| statement.parts[1].salt = Bytes::from_static(&[0; 31]),
            |statement| statement.parts[1].tag = 11,
            |statement| statement.parts[2].content = Bytes::from_static("a\u{202e}b".as_bytes()),
            |statement| statement.parts[4].content = Bytes::from_static(&[2; 33]),
        ];
        for (at, break_it) in breaks.iter().enumerate() {
            let mut wire = statement();
            break_it(&mut wire);
            assert!(Parsed::parse(&wire).is_err(), "break {at}");
        }
    }

    #[test]
    fn every_changed_byte_changes_the_leaf_or_is_refused() {
        let wire = statement();
        let leaf = Parsed::parse(&wire).expect("good").leaf();
        for part in 0..wire.parts.len() {
            for at in 0..wire.parts[part].content.len() {
                let mut changed = wire.clone();
                let mut content = changed.parts[part].content.to_vec();
                content[at] ^= 1;
                changed.parts[part].content = content.into();
                assert!(Parsed::parse(&changed).map_or(true, |parsed| parsed.leaf() != leaf));
            }
        }
    }
}
