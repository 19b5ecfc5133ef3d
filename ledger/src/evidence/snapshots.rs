//! The snapshots that the statements cite, and the schema.

use super::{Case, Doubt, Facts, Outcome, Shared, cache::Cache, ground::Cited, lacks, wrong};
use crate::{anchor::Anchor, note::open_snapshot_with};
use jisr_certs::digest::{domain, sha256};
use jisr_proto::{
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
        if core.snapshot != cited.digest.as_slice() {
            return wrong(format!(
                "{:?} cites version {version} with another digest",
                entry.parsed.kind()
            ));
        }
        // What begins an exchange must rest on a snapshot in force; what ends it is recorded whatever came meanwhile.
        let kind = entry.parsed.kind();
        let begins = matches!(kind, Kind::Asked | Kind::Received);
        if begins && core.created_us > cited.snapshot.expires_us {
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
    let snapshot = &cited.snapshot;
    let version = snapshot.version;
    let text = open_snapshot_with(&cited.note, &anchor.snapshot_key, cache)
        .map_err(|error| Doubt::Wrong(format!("version {version}: {error}")))?;
    let says_the_same = text.version == version
        && text.digest == cited.digest
        && text.expires_s == snapshot.expires_us / 1_000_000
        && snapshot.instance == anchor.instance.as_str()
        && snapshot.format == 1;
    if !says_the_same {
        return wrong(format!("version {version} and its note differ"));
    }
    match facts.published(version, &cited.digest) {
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
    let snapshot = &cited.snapshot;
    let version = snapshot.version;
    let row = |origin: &str| snapshot.nodes.iter().find(|node| node.origin == origin);
    let consumer = case.consumer().and_then(|origin| row(origin.as_str()));
    match (consumer, row(&core.provider_origin)) {
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
    let is_listed = snapshot.services.iter().any(|service| {
        service.name == core.service && service.provider == core.provider && service.holds(&core.schema)
    });
    if !is_listed {
        return wrong(format!(
            "version {version} does not list {} of {} with this schema",
            core.service, core.provider
        ));
    }
    // A refusal may well rest on the agreement's no longer being listed.
    let refused = case.of_kind(Kind::Refused).next().is_some();
    if !refused && !snapshot.agreements.iter().any(|row| row.digest == core.agreement) {
        return wrong(format!("version {version} does not list the agreement as in force"));
    }
    Ok(())
}

/// Key-set digest of two nodes (docs/formats.md, Statement).
fn key_set(consumer: &Node, provider: &Node) -> [u8; 32] {
    let mut items = Vec::with_capacity(8);
    for node in [consumer, provider] {
        for item in [
            &node.tls_certificate,
            &node.seal_certificate,
            &node.seal_key,
            &node.witness_key,
        ] {
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
