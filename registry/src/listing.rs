//! What a publisher says of a service besides its titles, and what the registry adds to it.

use jisr_proto::annotations::ServiceSchema;
use jisr_proto::listing::Version;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{Listing, Service};
use jisr_proto::v1::Classification;

use crate::refusal::Refusal;
use crate::state;
use crate::text;

/// Promised availability counts in thousandths of a percent.
const AVAILABILITY_MAX: u32 = 100_000;

/// Adds what the publisher left open: the version that follows the published one, and the classification of the schema.
///
/// # Errors
/// SCHEMA_INVALID where the classification is lower than that of the schema's fields.
pub(crate) fn complete(
    mut listing: Listing,
    schema: &ServiceSchema,
    published: Option<&state::Service>,
) -> Result<Listing, Refusal> {
    if listing.version.is_empty() {
        let last = published.and_then(|row| row.listing.version.parse().ok());
        listing.version = last.map_or(Version::FIRST, Version::next_minor).to_string();
    }
    let highest = schema.highest_classification();
    let known = |number: u32| {
        i32::try_from(number)
            .ok()
            .and_then(|number| Classification::try_from(number).ok())
    };
    match known(listing.classification) {
        Some(Classification::Unspecified) => listing.classification = highest as u32,
        Some(said) if said >= highest => {}
        Some(said) => {
            let rule = format!(
                "the publication is classified {}, and its schema has fields that are {}; classify it as high as its highest field",
                said.as_str_name(),
                highest.as_str_name()
            );
            return Err(Refusal::new(Reason::SchemaInvalid, rule));
        }
        None => {
            return Err(Refusal::invalid(format!(
                "{} is no classification",
                listing.classification
            )));
        }
    }
    Ok(listing)
}

/// The rules for what is listed.
///
/// # Errors
/// TITLE_MISSING where there is an English text and no Arabic one; REQUEST_INVALID else.
pub(crate) fn check(row: &Service, published: Option<&state::Service>) -> Result<(), Refusal> {
    let listing = row
        .listing
        .as_ref()
        .ok_or_else(|| Refusal::invalid("the act says nothing of the publication"))?;
    check_version(row, listing, published)?;
    if !(1..=3).contains(&listing.classification) {
        let rule = format!("{} is no classification of a publication", listing.classification);
        return Err(Refusal::invalid(rule));
    }
    if listing.availability_target > AVAILABILITY_MAX {
        return Err(Refusal::invalid("more than 100 % availability cannot be promised"));
    }
    let invalid = |what: &str, rule: String| Refusal::invalid(format!("{what}: {rule}"));
    if !listing.text_en.is_empty() {
        text::paragraph(&listing.text_en).map_err(|rule| invalid("English text", rule))?;
        if listing.text_ar.is_empty() {
            let rule = "there is a text in English and none in Arabic";
            return Err(Refusal::new(Reason::TitleMissing, rule));
        }
    }
    if !listing.text_ar.is_empty() {
        text::arabic_paragraph(&listing.text_ar).map_err(|rule| invalid("Arabic text", rule))?;
    }
    for (what, said) in [("availability", &listing.availability), ("contact", &listing.contact)] {
        if !said.is_empty() {
            text::remark(said).map_err(|rule| invalid(what, rule))?;
        }
    }
    Ok(())
}

/// Another schema is another version, and versions only go up.
fn check_version(row: &Service, listing: &Listing, published: Option<&state::Service>) -> Result<(), Refusal> {
    let version: Version = listing
        .version
        .parse()
        .map_err(|error: jisr_proto::listing::VersionError| Refusal::invalid(error.to_string()))?;
    let Some(published) = published else { return Ok(()) };
    let last: Version = published.listing.version.parse().unwrap_or(Version::FIRST);
    let same = row.schema == published.schema.as_slice();
    if version < last || (version == last && !same) {
        let rule = format!(
            "{} is published as {last}; another schema needs a version above it, and {version} is not",
            row.name
        );
        return Err(Refusal::invalid(rule));
    }
    Ok(())
}
