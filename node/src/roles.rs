//! On which side of an exchange this node stood. One id may stand for two exchanges: a peer may ask back under the id of one that
//! this node asked.

use std::path::Path;

use jisr_ledger::archive::Role;
use jisr_ledger::ledger::Entry;
use jisr_proto::admin;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::setup::Layout;

/// The side that a request at the admin door names; `None` where it names none.
///
/// # Errors
/// REQUEST_INVALID for a number that stands for no side.
pub(crate) fn named(role: i32) -> Result<Option<Role>, Fault> {
    match admin::Role::try_from(role) {
        Ok(admin::Role::Unspecified) => Ok(None),
        Ok(admin::Role::Consumer) => Ok(Some(Role::Consumer)),
        Ok(admin::Role::Provider) => Ok(Some(Role::Provider)),
        Err(_) => Err(Fault::new(
            Reason::RequestInvalid,
            format!("there is no role {role}: 1 is consumer, 2 is provider"),
        )),
    }
}

/// Whether both sides are among these statements of one id.
pub(crate) fn both(entries: &[Entry], own: &Origin) -> bool {
    let stands = |role| entries.iter().any(|entry| Role::of(&entry.statement, own) == role);
    stands(Role::Consumer) && stands(Role::Provider)
}

/// Keeps the statements of the exchange in which this node stood on that side.
///
/// # Errors
/// UNKNOWN_EXCHANGE where none is left, REQUEST_INVALID where none is named and the id was used on both sides.
pub(crate) fn of_one(
    mut entries: Vec<Entry>,
    own: &Origin,
    exchange: ExchangeId,
    role: Option<Role>,
) -> Result<Vec<Entry>, Fault> {
    let Some(role) = role else {
        return if both(&entries, own) {
            Err(ambiguous(&entries, own, exchange))
        } else {
            Ok(entries)
        };
    };
    entries.retain(|entry| Role::of(&entry.statement, own) == role);
    if entries.is_empty() {
        let detail = format!(
            "this node's ledger holds no exchange {exchange} in which it was the {}",
            role.as_str()
        );
        return Err(Fault::new(Reason::UnknownExchange, detail));
    }
    Ok(entries)
}

/// The ledger does not hold what `detail` names; where others came before it, they are where to look.
pub(crate) fn unknown(data: &Path, detail: String) -> Fault {
    let older = Layout::new(data).older_ledgers();
    let detail = if older.is_empty() {
        detail
    } else {
        let older: Vec<String> = older.iter().map(|dir| dir.display().to_string()).collect();
        format!(
            "{detail}. It succeeds others: look for older exchanges in {}, with jisr evidence export --ledger LEDGER --data {}",
            older.join(", "),
            data.display()
        )
    };
    Fault::new(Reason::UnknownExchange, detail)
}

/// Names both exchanges.
fn ambiguous(entries: &[Entry], own: &Origin, exchange: ExchangeId) -> Fault {
    let first = |role| {
        let mut of = entries.iter().filter(|entry| Role::of(&entry.statement, own) == role);
        of.next()
            .map(|entry| {
                let core = entry.statement.core();
                format!("{} asked {} for {}", core.consumer, core.provider, core.method)
            })
            .unwrap_or_default()
    };
    let detail = format!(
        "two exchanges have the id {exchange}: as consumer, {}; as provider, {}; say which one with --role consumer or \
         --role provider",
        first(Role::Consumer),
        first(Role::Provider)
    );
    Fault::new(Reason::RequestInvalid, detail)
}
