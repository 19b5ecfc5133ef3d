//! The closet that knows what services look like: schemas by digest, fetched once, kept on disk, rebuilt at will.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_ledger::files::replace_derived;
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::ident::MethodPath;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Subject, SubjectIdentifier};
use jisr_proto::status::Fault;

/// A service's schema and the bytes it came in.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What was read from the descriptors.
    pub service: ServiceSchema,
    /// The FileDescriptorSet.
    pub bytes: Bytes,
}

/// Schemas by digest.
pub(crate) struct Schemas {
    dir: PathBuf,
    known: ArcSwap<HashMap<Hash, Arc<Schema>>>,
}

impl Schemas {
    /// Keeps copies in `dir`.
    pub(crate) fn new(dir: PathBuf) -> std::io::Result<Schemas> {
        std::fs::create_dir_all(&dir)?;
        Ok(Schemas {
            dir,
            known: ArcSwap::default(),
        })
    }

    /// The schema with this digest, if it has been fetched.
    pub(crate) fn find(&self, digest: &Hash) -> Option<Arc<Schema>> {
        self.known.load().get(digest).cloned()
    }

    /// Takes a schema from the copy on disk. A copy that is damaged counts as absent.
    pub(crate) fn load(&self, digest: &Hash, service: &str) -> bool {
        if self.find(digest).is_some() {
            return true;
        }
        std::fs::read(self.path(digest)).is_ok_and(|bytes| self.take(digest, service, bytes.into()).is_ok())
    }

    /// Takes up a schema that came from the registry. It must be what its digest says. The copy is not durable: one that a crash
    /// left damaged counts as absent, and is fetched again.
    pub(crate) fn accept(&self, digest: &Hash, service: &str, bytes: Bytes) -> Result<(), String> {
        self.take(digest, service, bytes.clone())?;
        replace_derived(&self.path(digest), &bytes).map_err(|error| format!("{}: {error}", self.path(digest).display()))
    }

    fn take(&self, digest: &Hash, service: &str, bytes: Bytes) -> Result<(), String> {
        if digest::domain("jisr.schema", &[&bytes]) != *digest {
            return Err(format!("the schema of {service} is not the one that its digest names"));
        }
        let schema = ServiceSchema::parse(&bytes, service).map_err(|error| error.to_string())?;
        let schema = Arc::new(Schema { service: schema, bytes });
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(*digest, Arc::clone(&schema));
            known
        });
        Ok(())
    }

    fn path(&self, digest: &Hash) -> PathBuf {
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }

    fn known(&self, digest: &Hash, path: &MethodPath) -> Result<Arc<Schema>, Fault> {
        self.find(digest).ok_or_else(|| {
            let detail = format!("the schema of {} has not been fetched yet", path.service);
            Fault::new(Reason::RegistryUnreachable, detail)
        })
    }

    /// Refuses methods that stream.
    pub(crate) fn check_unary(&self, digest: &Hash, path: &MethodPath) -> Result<(), Fault> {
        let schema = self.known(digest, path)?;
        match schema.service.method(path.method.as_str()) {
            Some(method) if method.unary => Ok(()),
            Some(_) => Err(Fault::new(Reason::MethodNotUnary, format!("{path} streams"))),
            None => Err(Fault::new(
                Reason::UnknownMethod,
                format!("the schema of {} has no such method", path.service),
            )),
        }
    }

    /// For how many days both nodes keep the messages of a method; 0: not at all.
    pub(crate) fn keep_days(&self, digest: &Hash, path: &MethodPath) -> u32 {
        let schema = self.find(digest);
        let method = schema
            .as_ref()
            .and_then(|schema| schema.service.method(path.method.as_str()));
        method.map_or(0, |method| method.keep_payload_days)
    }

    /// The persons whom a request names, as the schema's annotations say.
    pub(crate) fn subject(&self, digest: &Hash, path: &MethodPath, payload: &[u8]) -> Result<Option<Subject>, Fault> {
        let schema = self.known(digest, path)?;
        let named = schema
            .service
            .subjects(path.method.as_str(), payload)
            .map_err(|error| Fault::new(Reason::RequestInvalid, format!("{path}: {error}")))?;
        let identifiers: Vec<SubjectIdentifier> = named
            .into_iter()
            .map(|(kind, value)| SubjectIdentifier { kind, value })
            .collect();
        Ok((!identifiers.is_empty()).then_some(Subject { identifiers }))
    }
}
