//! `jisr catalogue show`: one publication in full.

use clap::Args;
use jisr_proto::annotations::ServiceSchema;
use serde_json::{Value, json};

use super::{Publication, Shown, apart, both};
use crate::failure::Failure;
use crate::{EXIT_CODES, output, runtime};

/// Tell what the catalogue says of a service: texts, provider, classification, availability, contact, methods
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Show {
    #[command(flatten)]
    publication: Publication,
    /// Print one object; times are microseconds since 1970
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let found = runtime::block_on(self.publication.fetch())?;
        let methods = methods(&found.schema, self.publication.service.as_str())?;
        let shown = Shown::new(found.entry.unwrap_or_default());
        if self.json {
            let mut object = shown.json();
            if let Value::Object(object) = &mut object {
                let methods = methods.iter().map(Method::json).collect();
                object.insert("methods".into(), Value::Array(methods));
            }
            return output::json(&object);
        }
        let (row, listing) = (&shown.service, &shown.listing);
        output::line(format!("{} {}", row.name, listing.version));
        output::line(both(&row.title_ar, &row.title_en));
        for text in [&listing.text_ar, &listing.text_en]
            .into_iter()
            .filter(|text| !text.is_empty())
        {
            for paragraph in text.lines() {
                output::line(apart(paragraph));
            }
        }
        let member = both(&shown.entry.member_ar, &shown.entry.member_en);
        output::line(format!("provider        {} {member}", row.provider));
        output::line(format!("data            {}", shown.classification()));
        output::line(format!("answers         {}", shown.serving()));
        if !listing.availability.is_empty() {
            output::line(format!("availability    {}", apart(&listing.availability)));
        }
        if let Some(target) = shown.target() {
            output::line(format!("promised        {target}"));
        }
        if !listing.contact.is_empty() {
            output::line(format!("contact         {}", apart(&listing.contact)));
        }
        output::line(format!("schema          {}", output::hex(&row.schema)));
        for earlier in &row.continues {
            output::line(format!("continues       {}", output::hex(earlier)));
        }
        for method in &methods {
            output::line(format!("method          {}", method.line()));
        }
        Ok(())
    }
}

/// A method, as people read it.
struct Method {
    name: String,
    input: String,
    output: String,
    client_streaming: bool,
    server_streaming: bool,
    no_side_effects: bool,
    evidence_class: &'static str,
    bulk: bool,
}

fn methods(schema: &[u8], service: &str) -> Result<Vec<Method>, Failure> {
    let schema = ServiceSchema::parse(schema, service).map_err(|error| Failure::Unreadable {
        what: format!("the schema of {service} cannot be read: {error}"),
        remedy: "tell the operator of the server that was asked".into(),
    })?;
    let method = |(name, method): (&str, &jisr_proto::annotations::MethodSchema)| Method {
        name: name.to_owned(),
        input: method.descriptor().input().full_name().to_owned(),
        output: method.descriptor().output().full_name().to_owned(),
        client_streaming: method.descriptor().is_client_streaming(),
        server_streaming: method.descriptor().is_server_streaming(),
        no_side_effects: method.no_side_effects,
        evidence_class: method.evidence_class.as_str_name(),
        bulk: method.bulk,
    };
    Ok(schema.methods().map(method).collect())
}

impl Method {
    fn line(&self) -> String {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        let effects = if self.no_side_effects {
            "no side effects"
        } else {
            "with effects"
        };
        let bulk = if self.bulk { ", many persons" } else { "" };
        let line = format!(
            "{}({}{}) returns ({}{}): {effects}, evidence {}{bulk}",
            self.name,
            stream(self.client_streaming),
            self.input,
            stream(self.server_streaming),
            self.output,
            self.evidence_class
        );
        output::printable(&line)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "request": self.input,
            "response": self.output,
            "client_streaming": self.client_streaming,
            "server_streaming": self.server_streaming,
            "no_side_effects": self.no_side_effects,
            "evidence_class": self.evidence_class,
            "bulk": self.bulk,
        })
    }
}
