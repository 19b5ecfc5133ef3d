//! `jisr catalogue search`: publications that hold all words of a query.

use clap::Args;
use jisr_proto::catalogue::SearchRequest;
use serde_json::{Value, json};

use super::{Dir, Shown, both};
use crate::failure::Failure;
use crate::{EXIT_CODES, output, runtime};

/// Find services by words in Arabic or English
///
/// Every word must stand in the name, the titles, the texts, the contact, or the provider; case, diacritics and the forms of Arabic
/// letters do not matter. Without words all services are listed.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Search {
    #[command(flatten)]
    at: Dir,
    /// Words to look for
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// Most services to list
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print one object {found, services}
    #[arg(long)]
    json: bool,
}

impl Search {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = SearchRequest {
            query: self.words.join(" "),
            limit: self.limit,
        };
        let found = runtime::block_on(async { Ok(self.at.client().await?.search(request).await?.into_inner()) })?;
        let shown: Vec<Shown> = found.entries.into_iter().map(Shown::new).collect();
        if self.json {
            let services: Vec<Value> = shown.iter().map(Shown::json).collect();
            return output::json(&json!({"found": found.found, "services": services}));
        }
        for service in &shown {
            let row = &service.service;
            output::line(format!("{} {} {}", row.name, service.listing.version, row.provider));
            output::line(format!("    {}", both(&row.title_ar, &row.title_en)));
            output::line(format!("    {}, {}", service.classification(), service.serving()));
        }
        if found.found > shown.len() as u64 {
            output::say(format!(
                "{} of {} services; --limit shows more",
                shown.len(),
                found.found
            ));
        } else if shown.is_empty() {
            output::say("no service was found");
        }
        Ok(())
    }
}
