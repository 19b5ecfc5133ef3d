//! The snapshots that the statements cite, and the schema.

use super::{Case, Doubt, Facts, Outcome, Shared, cache::Cache, ground::Cited, lacks, wrong};
use crate::{
    anchor::Anchor,
    note::open_snapshot_with,
    snapshot::{Standing, agreement_key, service_key},
};
use jisr_certs::digest::{domain, sha256};
use jisr_proto::{
    ident::Origin,
    snapshot::Node,
    statement::{Core, Kind},
};

/// The cited snapshots are the published ones, were valid, list what the exchange rests on, and match each key set.
pub(super) fn check(case: &Case, shared: &Shared) -> Outcome {
    shared.signed(case)?;
    for entry in &case.statements {
        let core = entry.parsed.core();
        if core.snapshot_version == 0 && case.asked().is_none() {
            continue;
        }
        let version = core.snapshot_version;
        let Some(cited) = case.ground.snapshot(version) else {
            return lacks(format!(
                "version {version}, which {:?} cites, is not there",
                entry.parsed.kind()
            ));
        };
        if core.snapshot != cited.header.digest.as_slice() {
            return wrong(format!(
                "{:?} cites version {version} with another digest",
                entry.parsed.kind()
            ));
        }
        // What begins an exchange must rest on a snapshot in force; what ends it is recorded whatever came meanwhile.
        let kind = entry.parsed.kind();
        let begins = matches!(kind, Kind::Asked | Kind::Received);
        if begins && core.created_us > cited.header.expires_us {
            return wrong(format!("version {version} had expired when {kind:?} was made"));
        }
        if case.asked().is_some() {
            rows(case, cited, core, begins)?;
        }
    }
    Ok(format!(
        "{} cited, signed, published and then valid",
        case.cited().len()
    ))
}

/// The note is the snapshot key's, says what the snapshot says, and the registry's ledger has the same.
pub(super) fn signed(cited: &Cited, facts: &Facts, anchor: &Anchor, cache: &Cache) -> Result<(), Doubt> {
    let header = &cited.header;
    let version = header.version;
    let text = open_snapshot_with(&cited.note, &anchor.snapshot_key, cache)
        .map_err(|error| Doubt::Wrong(format!("version {version}: {error}")))?;
    let says_the_same = text.version == version
        && text.digest == header.digest
        && text.expires_s == header.expires_us / 1_000_000
        && header.instance == anchor.instance.as_str();
    if !says_the_same {
        return wrong(format!("version {version} and its note differ"));
    }
    if let Err(error) = &cited.rows {
        return wrong(format!("version {version}: {error}"));
    }
    match facts.published(version, &header.digest) {
        Some(true) => Ok(()),
        Some(false) => wrong(format!(
            "version {version} is not the one that the registry's ledger has"
        )),
        None => lacks(format!("SNAPSHOT_PUBLISHED for version {version} is not there")),
    }
}

/// The key set is that of the rows of both nodes; where the exchange begins, the snapshot lists them, the service and the
/// agreement.
fn rows(case: &Case, cited: &Cited, core: &Core, begins: bool) -> Result<(), Doubt> {
    let version = cited.header.version;
    let provider: Origin = core
        .provider_origin
        .parse()
        .map_err(|error| Doubt::Wrong(format!("the provider's ledger: {error}")))?;
    let consumer = match case.consumer() {
        Some(origin) => cited.node(origin)?,
        None => None,
    };
    match (consumer, cited.node(&provider)?) {
        (Some(consumer), Some(provider)) if core.key_set != key_set(consumer, provider).as_slice() => {
            return wrong(format!("a statement's key set is not that of version {version}"));
        }
        (Some(_), Some(_)) => {}
        _ if begins => return wrong(format!("version {version} does not list both nodes")),
        _ => return Ok(()),
    }
    if !begins {
        return Ok(());
    }
    match cited.find(&service_key(&core.service, &core.provider)) {
        Standing::Listed(row) if row.service.as_ref().is_some_and(|row| row.holds(&core.schema)) => {}
        Standing::Listed(_) | Standing::Absent => {
            return wrong(format!(
                "version {version} does not list {} of {} with this schema",
                core.service, core.provider
            ));
        }
        Standing::Withheld | Standing::Unknown => {
            return lacks(format!(
                "the row of {} of {} in version {version} is not there",
                core.service, core.provider
            ));
        }
    }
    // A refusal may well rest on the agreement's no longer being listed.
    let refused = case.of_kind(Kind::Refused).next().is_some();
    match cited.find(&agreement_key(&core.agreement)) {
        // Its key says which agreement it is; the document stands in the registry's ledger.
        Standing::Listed(_) | Standing::Withheld => Ok(()),
        _ if refused => Ok(()),
        Standing::Absent => wrong(format!("version {version} does not list the agreement as in force")),
        Standing::Unknown => lacks(format!("the row of the agreement in version {version} is not there")),
    }
}

/// Key-set digest of two nodes (docs/formats.md, Statement).
fn key_set(consumer: &Node, provider: &Node) -> [u8; 32] {
    let mut items = Vec::with_capacity(6);
    for node in [consumer, provider] {
        for item in [&node.seal_certificate, &node.seal_key, &node.witness_key] {
            items.push(sha256(&[item]));
        }
    }
    items.sort_unstable();
    domain("jisr.keyset", &[items.as_flattened()])
}

/// The schema was registered for the service, and is the one in the file where that has one.
pub(super) fn schema(case: &Case, facts: &Facts) -> Outcome {
    let Some(core) = case.asked().map(|entry| entry.parsed.core()) else {
        return Ok("not needed: nothing was asked".to_owned());
    };
    let bytes = case.schema;
    if !bytes.is_empty() && domain("jisr.schema", &[bytes]) != core.schema.as_ref() {
        return wrong("the schema in the file is not the one that the statements name");
    }
    if !facts.schema(core) {
        return lacks("its registration is not there");
    }
    let place = if bytes.is_empty() {
        "not present in the file"
    } else {
        "present in the file"
    };
    Ok(format!("registered for {} of {}; {place}", core.service, core.provider))
}
