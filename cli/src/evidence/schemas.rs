//! `--schema`: what the messages mean, put into a file from the schemas that a data directory keeps.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use jisr_certs::digest::{Hash, domain};
use jisr_ledger::evidence::{EvidenceError, encode, encode_set, is_set, open, open_set};
use jisr_proto::evidence::EvidenceStatement;
use jisr_proto::statement::{Core, Kind, Tag};
use prost::Message;

use super::export::Made;
use crate::failure::Failure;
use crate::output;

/// Largest schema that is read, bytes.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// Adds the FileDescriptorSet of each question's service, as far as the data directory keeps it.
pub(super) fn add(made: &mut Made, data: &Path) -> Result<(), Failure> {
    let unsound = |report: jisr_ledger::report::Report| {
        Failure::fault(
            format!("the file that was made is not sound: {}", report.reason),
            "report this as a defect of jisr",
        )
    };
    let mut kept = Kept::new(data);
    let file = if is_set(&made.file) {
        let mut set = open_set(&made.file).map_err(unsound)?;
        let statements = set.exchanges.iter().flat_map(|exchange| &exchange.statements);
        kept.find(statements);
        set.schemas = kept.found.into_values().collect();
        encode_set(&set)
    } else {
        let mut evidence = open(&made.file).map_err(unsound)?;
        kept.find(&evidence.statements);
        evidence.schema = kept.found.into_values().next().unwrap_or_default();
        encode(&evidence)
    };
    made.file = file.map_err(too_long)?;
    made.lacks.extend(kept.lacks);
    Ok(())
}

fn too_long(error: EvidenceError) -> Failure {
    Failure::refused(error.to_string(), "you, the caller", "", "export it without --schema")
}

/// Schemas by digest.
struct Kept<'d> {
    data: &'d Path,
    found: BTreeMap<Hash, Bytes>,
    lacks: Vec<String>,
}

impl<'d> Kept<'d> {
    fn new(data: &'d Path) -> Self {
        Self {
            data,
            found: BTreeMap::new(),
            lacks: Vec::new(),
        }
    }

    fn find<'s>(&mut self, statements: impl IntoIterator<Item = &'s EvidenceStatement>) {
        for digest in statements.into_iter().filter_map(asked) {
            if self.found.contains_key(&digest) {
                continue;
            }
            let name = output::hex(&digest);
            let path = self.data.join("schemas").join(&name);
            let bytes = output::read(&path, SCHEMA_BYTES_MAX).ok().map(Bytes::from);
            match bytes.filter(|bytes| domain("jisr.schema", &[bytes]) == digest) {
                Some(bytes) => {
                    self.found.insert(digest, bytes);
                }
                None => {
                    let lack = format!("the schema {name} is not kept in {}", self.data.display());
                    if !self.lacks.contains(&lack) {
                        self.lacks.push(lack);
                    }
                }
            }
        }
    }
}

/// The schema that a question names.
fn asked(statement: &EvidenceStatement) -> Option<Hash> {
    let part = statement.parts.iter().find(|part| part.tag == Tag::Core as u32)?;
    let core = Core::decode(part.content.clone()).ok()?;
    (core.kind == Kind::Asked as i32)
        .then(|| core.schema.as_ref().try_into().ok())
        .flatten()
}
