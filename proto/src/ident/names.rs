//! The parts that identifiers are made of.

use super::text::text_identifier;

text_identifier! {
    /// One network under one registry: `JO`. `[A-Z][A-Z0-9]{1,15}`.
    Instance, Instance, is_instance
}

text_identifier! {
    /// Code of a member, subsystem, node or officer: `mol`. `[a-z]([a-z0-9-]{0,30}[a-z0-9])?`, no `--`.
    Code, Code, is_code
}

text_identifier! {
    /// Tells the ledgers of one node apart: the year in which it was begun, and a number from the second on in one
    /// year. `[0-9]{4}(-[1-9][0-9]{0,3})?`.
    Epoch, Epoch, is_epoch
}

impl Instance {
    /// Key name of the registry's witness: `jisr/JO/registry/witness`.
    pub fn witness_name(&self) -> String {
        format!("jisr/{self}/registry/witness")
    }

    /// Key name of snapshot notes: `jisr/JO/snapshot`.
    pub fn snapshot_name(&self) -> String {
        format!("jisr/{self}/snapshot")
    }

    /// What stands for the registry where an operator is named: `JO/registry`.
    pub fn registry(&self) -> String {
        format!("{self}/registry")
    }
}

pub(super) fn is_instance(text: &str) -> bool {
    let mut bytes = text.bytes();
    (2..=16).contains(&text.len())
        && bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

pub(super) fn is_class(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}

pub(super) fn is_code(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(super) fn is_epoch(text: &str) -> bool {
    let (year, number) = match text.split_once('-') {
        Some((year, number)) => (year, Some(number)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    year.len() == 4
        && digits(year)
        && number.is_none_or(|n| (1..=4).contains(&n.len()) && digits(n) && !n.starts_with('0'))
}
