//! `jisr catalogue`: which services the network has, what they are, and their files.

mod download;
mod search;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jisr_proto::catalogue::catalogue_client::CatalogueClient;
use jisr_proto::catalogue::{Entry, Serving, ShowRequest, ShowResponse};
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::snapshot::{Listing, Service};
use jisr_proto::v1::Classification;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::{instant, output};

/// Largest answer: a schema and the text of its files.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Commands of the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Search(search::Search),
    Show(show::Show),
    Download(download::Download),
}

/// Whose catalogue is asked.
#[derive(Debug, Args)]
struct Dir {
    /// Data directory of a node, or of the registry, that runs
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// One publication.
#[derive(Debug, Args)]
struct Publication {
    #[command(flatten)]
    at: Dir,
    /// Full name of the service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
    /// Subsystem that publishes it, where several do
    #[arg(long, value_name = "SUBSYSTEM")]
    provider: Option<SubsystemId>,
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Search(search) => search.run(),
        Command::Show(show) => show.run(),
        Command::Download(download) => download.run(),
    }
}

impl Dir {
    async fn client(&self) -> Result<CatalogueClient<Channel>, Failure> {
        let server = if self.dir.join("registry.toml").exists() {
            Server::Registry
        } else {
            Server::Node
        };
        let channel = admin::connect(&self.dir, server).await?;
        Ok(CatalogueClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
    }
}

impl Publication {
    async fn fetch(&self) -> Result<ShowResponse, Failure> {
        let request = ShowRequest {
            service: self.service.to_string(),
            provider: self.provider.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        Ok(self.at.client().await?.show(request).await?.into_inner())
    }
}

/// A publication and what is said of it, as the commands print them.
struct Shown {
    service: Service,
    listing: Listing,
    entry: Entry,
}

impl Shown {
    fn new(mut entry: Entry) -> Shown {
        let mut service = entry.service.take().unwrap_or_default();
        let listing = service.listing.take().unwrap_or_default();
        Shown {
            service,
            listing,
            entry,
        }
    }

    /// Whether it answers, in words, and since when.
    fn serving(&self) -> String {
        let said = match self.entry.serving() {
            Serving::Yes => "serving",
            Serving::No => "not serving",
            Serving::Unknown => "unknown",
        };
        match self.entry.since_us {
            0 => said.to_owned(),
            since_us => format!("{said} since {}", instant::show(since_us)),
        }
    }

    fn classification(&self) -> &'static str {
        let class = i32::try_from(self.listing.classification).ok();
        let class = class.and_then(|class| Classification::try_from(class).ok());
        class.unwrap_or(Classification::Unspecified).as_str_name()
    }

    /// Promised availability in percent; `None` where none is promised.
    fn target(&self) -> Option<String> {
        let target = self.listing.availability_target;
        (target != 0).then(|| {
            let digits = format!("{}.{:03}", target / 1000, target % 1000);
            format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
        })
    }

    fn json(&self) -> Value {
        let (service, listing) = (&self.service, &self.listing);
        let serving = match self.entry.serving() {
            Serving::Yes => "serving",
            Serving::No => "not-serving",
            Serving::Unknown => "unknown",
        };
        json!({
            "service": service.name,
            "provider": service.provider,
            "member_ar": self.entry.member_ar,
            "member_en": self.entry.member_en,
            "title_ar": service.title_ar,
            "title_en": service.title_en,
            "text_ar": listing.text_ar,
            "text_en": listing.text_en,
            "version": listing.version,
            "schema": output::hex(&service.schema),
            "continues": service.continues.iter().map(|digest| output::hex(digest)).collect::<Vec<_>>(),
            "classification": self.classification(),
            "availability": listing.availability,
            "availability_target": self.target(),
            "contact": listing.contact,
            "serving": serving,
            "since_us": self.entry.since_us,
        })
    }
}

/// A text in whatever direction it is written, apart from what stands around it (UAX #9, first strong isolate).
fn apart(text: &str) -> String {
    format!("\u{2068}{}\u{2069}", output::printable(text))
}

/// Both languages, Arabic first; one where the other says nothing.
fn both(ar: &str, en: &str) -> String {
    match (ar.is_empty(), en.is_empty()) {
        (false, false) => format!("{} · {}", apart(ar), apart(en)),
        (false, true) => apart(ar),
        (true, _) => apart(en),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: u32) -> Shown {
        let listing = Listing {
            availability_target: target,
            classification: 3,
            ..Listing::default()
        };
        let service = Service {
            listing: Some(listing),
            ..Service::default()
        };
        Shown::new(Entry {
            service: Some(service),
            ..Entry::default()
        })
    }

    #[test]
    fn availability_is_told_in_percent() {
        for (target, told) in [
            (0, None),
            (99_900, Some("99.9 %")),
            (100_000, Some("100 %")),
            (99_999, Some("99.999 %")),
            (5, Some("0.005 %")),
        ] {
            assert_eq!(shown(target).target().as_deref(), told);
        }
        assert_eq!(shown(0).classification(), "SENSITIVE");
        assert_eq!(shown(0).serving(), "unknown");
    }

    #[test]
    fn texts_cannot_turn_what_stands_around_them() {
        assert_eq!(
            both("أذون\u{202e}", "Permits\u{2069}"),
            "\u{2068}أذون \u{2069} · \u{2068}Permits \u{2069}"
        );
    }
}
