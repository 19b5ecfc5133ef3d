//! The file that goes from officer to officer: a document and the approvals so far, as JSON.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use jisr_certs::officer::Document;
use jisr_proto::canonical;
use jisr_proto::ident::{MemberId, Origin};
use jisr_proto::statement::{Approval, Erasure, Release};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;

/// Remedy for whatever is wrong with a file.
const REMEDY: &str = "name the file that `propose` wrote, as it was written";

/// A document on its way.
pub(super) struct Paper {
    what: Document,
    document: Bytes,
    approvals: Vec<Approval>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    kind: String,
    document: String,
    approvals: Vec<RawApproval>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApproval {
    certificates: Vec<String>,
    signature: String,
}

impl Paper {
    /// A document that nobody has approved yet.
    pub(super) fn new(what: Document, document: Bytes) -> Self {
        Self {
            what,
            document,
            approvals: Vec::new(),
        }
    }

    /// From a file, which must hold a document of the kind `what`.
    pub(super) fn read(path: &Path, what: Document) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::unusable(path, why, REMEDY);
        let raw: Raw = serde_json::from_str(&output::read_text(path)?).map_err(|error| wrong(error.to_string()))?;
        let hex = |text: &String| {
            let bytes = output::unhex(text).map(Bytes::from);
            bytes.ok_or_else(|| wrong("it holds what is no hex".to_owned()))
        };
        if raw.kind != what.name() {
            return Err(wrong(format!(
                "it is of the kind {:?}, not {:?}",
                raw.kind,
                what.name()
            )));
        }
        let approval = |raw: &RawApproval| {
            Ok(Approval {
                certificates: raw.certificates.iter().map(hex).collect::<Result<_, Failure>>()?,
                signature: hex(&raw.signature)?,
            })
        };
        Ok(Self {
            what,
            document: hex(&raw.document)?,
            approvals: raw.approvals.iter().map(approval).collect::<Result<_, Failure>>()?,
        })
    }

    fn text(&self) -> String {
        let approval = |approval: &Approval| RawApproval {
            certificates: approval.certificates.iter().map(|der| output::hex(der)).collect(),
            signature: output::hex(&approval.signature),
        };
        let raw = Raw {
            kind: self.what.name().to_owned(),
            document: output::hex(&self.document),
            approvals: self.approvals.iter().map(approval).collect(),
        };
        serde_json::to_string_pretty(&raw).expect("texts and lists are JSON") + "\n"
    }

    /// Into a new file.
    pub(super) fn write_new(&self, path: &Path) -> Result<(), Failure> {
        output::write_new(path, self.text().as_bytes())
    }

    /// Into the file that it was read from.
    pub(super) fn replace(&self, path: &Path) -> Result<(), Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        output::write_new(&new, self.text().as_bytes())?;
        std::fs::rename(&new, path).map_err(|error| Failure::unwritable(path, error))
    }

    /// Its canonical bytes.
    pub(super) fn document(&self) -> &Bytes {
        &self.document
    }

    /// What officers sign.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.what.digest(&self.document)
    }

    /// Of officers so far.
    pub(super) fn approvals(&self) -> &[Approval] {
        &self.approvals
    }

    /// One more, of another officer: the node refuses a document that has one twice.
    pub(super) fn add(&mut self, approval: Approval) -> Result<(), Failure> {
        let of = |approval: &Approval| approval.certificates.first().cloned();
        if self.approvals.iter().any(|known| of(known) == of(&approval)) {
            return Err(Failure::usage(
                "this officer has signed the document already; two different ones must",
                "have another officer sign it",
            ));
        }
        self.approvals.push(approval);
        Ok(())
    }

    /// An officer of the ledger's owner: the node refuses any other, after all have signed.
    pub(super) fn check_signer(&self, member: &MemberId) -> Result<(), Failure> {
        if !matches!(self.what, Document::Erasure) {
            return Ok(());
        }
        let wrong = |why: String| Failure::fault(format!("the document: {why}"), REMEDY);
        let erasure: Erasure = canonical::decode(&self.document).map_err(|error| wrong(error.to_string()))?;
        let origin: Origin = erasure.origin.parse().map_err(|error| wrong(format!("{error}")))?;
        if origin.member().as_ref() == Some(member) {
            return Ok(());
        }
        Err(Failure::usage(
            format!("the document is for the ledger {origin}, and the officer is one of {member}"),
            "have two officers of the member sign whose ledger it is",
        ))
    }

    /// What the document says, for whoever is to sign it.
    pub(super) fn terms(&self) -> Result<String, Failure> {
        let wrong = |error| Failure::fault(format!("the document: {error}"), REMEDY);
        let mut text = format!("document   {}", output::hex(&self.digest()));
        // Writing to a string cannot fail.
        match self.what {
            Document::Erasure => {
                let erasure: Erasure = canonical::decode(&self.document).map_err(wrong)?;
                let _ = write!(text, "\nledger     {}", output::printable(&erasure.origin));
                let _ = write!(text, "\nreason     {}", output::printable(&erasure.reason));
                for part in &erasure.parts {
                    let tags: Vec<String> = part.tags.iter().map(ToString::to_string).collect();
                    let _ = write!(text, "\nerases     entry {}: parts {}", part.index, tags.join(", "));
                }
            }
            _ => {
                let release: Release = canonical::decode(&self.document).map_err(wrong)?;
                let _ = write!(text, "\nends hold  {}", output::hex(&release.hold));
                let _ = write!(text, "\nreason     {}", output::printable(&release.reason));
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paper_survives_its_file_and_shows_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("paper.json");
        let document = canonical::encode(&Release {
            format: 1,
            hold: vec![7; 32].into(),
            reason: "over".into(),
        });
        let mut paper = Paper::new(Document::Release, document);
        paper.write_new(&path).unwrap();
        let approval = Approval {
            certificates: vec![vec![1].into(), vec![2].into()],
            signature: vec![3].into(),
        };
        paper.add(approval.clone()).unwrap();
        assert!(paper.add(approval).is_err(), "once each");
        paper.replace(&path).unwrap();
        let read = Paper::read(&path, Document::Release).unwrap();
        assert_eq!(
            (read.document(), read.approvals()),
            (paper.document(), paper.approvals())
        );
        assert!(read.terms().unwrap().contains("over"));
        assert!(Paper::read(&path, Document::Erasure).is_err(), "another kind");
        std::fs::write(&path, b"{}").unwrap();
        assert!(Paper::read(&path, Document::Release).is_err());
    }
}
