//! With whom a registry begins: its first administrators, whom nobody could have approved.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use jisr_certs::csr;
use jisr_certs::issue::Issuing;
use jisr_certs::validity::{ADMINISTRATOR_DAYS, Validity};
use jisr_proto::canonical;
use jisr_proto::ident::Code;
use jisr_proto::snapshot::{Administrator, AdministratorsAct};

use crate::administration::Roles;
use crate::error::Error;
use crate::state::{Act, State};

/// The first administrators.
#[derive(Debug, Clone, Default)]
pub struct Founding {
    /// Who they are: each of the roles admit, certify and publish is held by two.
    pub founders: Vec<Founder>,
    /// One is enough, and may approve what they proposed, until two hold each role. For trying things out.
    pub dangerous_single_administrator: bool,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Founder {
    /// Name.
    pub name: Code,
    /// What they may do.
    pub roles: Roles,
    /// PKCS#10 request (DER) for the key that they made.
    pub request: Vec<u8>,
}

impl Founding {
    /// Whether a registry can be founded with them.
    ///
    /// # Errors
    /// [`Error::Founding`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |rule: String| Err(Error::Founding(rule));
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for founder in &self.founders {
            let key = csr::p256_key(&founder.request)?;
            if !names.insert(&founder.name) || !keys.insert(key) {
                return refuse(format!(
                    "{} stands there twice, or has the key of another",
                    founder.name
                ));
            }
            if founder.roles.is_empty() {
                return refuse(format!("{} has no role", founder.name));
            }
        }
        let needed = if self.dangerous_single_administrator { 1 } else { 2 };
        for role in Roles::NEEDED {
            let holders = self.founders.iter().filter(|founder| founder.roles.hold(role)).count();
            if holders < needed {
                return refuse(format!(
                    "{holders} hold the role {role}, and {needed} or more are needed; name more administrators, or more roles"
                ));
            }
        }
        Ok(())
    }

    /// Issues their certificates: the founding as it will stand in the ledger, and for each, in the order given, the chain.
    pub(crate) fn issue(&self, issuing: &Issuing, now_us: u64) -> Result<(Bytes, Vec<Vec<Bytes>>), Error> {
        let mut administrators = Vec::with_capacity(self.founders.len());
        let mut chains = Vec::with_capacity(self.founders.len());
        for founder in &self.founders {
            let validity = Validity::days(now_us, ADMINISTRATOR_DAYS);
            let leaf = issuing.issue_administrator(&founder.request, &founder.name, validity)?;
            let chain = std::iter::once(leaf).chain(issuing.issuers());
            let chain: Vec<Bytes> = chain.map(|der| Bytes::copy_from_slice(&der)).collect();
            administrators.push(Administrator {
                name: founder.name.to_string(),
                roles: founder.roles.number(),
                certificates: chain.iter().take(2).cloned().collect(),
            });
            chains.push(chain);
        }
        administrators.sort_by(|one, next| one.name.cmp(&next.name));
        let act = AdministratorsAct {
            administrators,
            act: Bytes::new(),
            dangerous_single: self.dangerous_single_administrator,
        };
        Ok((canonical::encode(&act), chains))
    }
}

/// Reads what [`Founding::issue`] made, where the ledger names no administrators yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Directory`] where it is missing or damaged.
pub(crate) fn read(path: &Path, state: &State) -> Result<Option<Act>, Error> {
    if !state.administrators().is_empty() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let damaged = |e| Error::Directory(format!("{} is damaged: {e}", path.display()));
    let act: AdministratorsAct = canonical::decode(&Bytes::from(bytes)).map_err(damaged)?;
    Ok(Some(Act::Administrators(act)))
}

/// The state as it will be with its founders.
pub(crate) fn known(founding: Option<&Act>, state: &State, now_us: u64) -> Option<State> {
    let mut founded = state.clone();
    // What is wrong with them is told when they are written down.
    founded.apply(1, now_us, founding?).ok().map(|()| founded)
}
