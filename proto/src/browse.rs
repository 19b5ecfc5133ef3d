//! What the catalogue answers, whoever holds it: which publications a query selects, and one of them in full.

use bytes::Bytes;

use crate::annotations::{SchemaError, ServiceSchema};
use crate::catalogue::{Entry, SearchRequest, SearchResponse, ShowResponse, SourceFile};
use crate::print;
use crate::search::Query;

/// Entries of an answer where nothing is said.
const LIMIT: usize = 100;
/// Most entries of one answer.
pub const LIMIT_MAX: usize = 1000;

/// Selects entries, which come by name and provider.
pub fn select(entries: impl Iterator<Item = Entry>, request: &SearchRequest) -> SearchResponse {
    let query = Query::new(&request.query);
    let limit = match usize::try_from(request.limit) {
        Ok(0) => LIMIT,
        Ok(limit) => limit.min(LIMIT_MAX),
        Err(_) => LIMIT_MAX,
    };
    let mut response = SearchResponse::default();
    for entry in entries.filter(|entry| finds(&query, entry)) {
        response.found += 1;
        if response.entries.len() < limit {
            response.entries.push(entry);
        }
    }
    response
}

fn finds(query: &Query, entry: &Entry) -> bool {
    let Some(service) = &entry.service else { return false };
    let mut texts = vec![
        service.name.as_str(),
        &service.provider,
        &service.title_ar,
        &service.title_en,
        &entry.member_ar,
        &entry.member_en,
    ];
    if let Some(listing) = &service.listing {
        texts.extend([listing.text_ar.as_str(), &listing.text_en, &listing.contact]);
    }
    query.finds(&texts)
}

/// An entry with its schema and the text of its files. Parses the schema: where others wait, run it elsewhere.
///
/// # Errors
/// The schema is not one of that service.
pub fn show(entry: Entry, schema: Bytes) -> Result<ShowResponse, SchemaError> {
    let name = entry.service.as_ref().map(|service| service.name.as_str());
    let parsed = ServiceSchema::parse(&schema, name.unwrap_or_default())?;
    let (files, no_text) = match print::files(parsed.pool()) {
        Ok(files) => (files, String::new()),
        Err(error) => (Vec::new(), error.to_string()),
    };
    let source = |file: print::SourceFile| SourceFile {
        name: file.name,
        text: file.text,
    };
    Ok(ShowResponse {
        entry: Some(entry),
        schema,
        files: files.into_iter().map(source).collect(),
        no_text,
    })
}
