//! One exchange as the audit commands print it: an object, a row, a line. The names are documented in docs/auditing.md and
//! stay as they are.

use jisr_ledger::archive::{Exchange, Role};
use jisr_ledger::statement::Tag;
use jisr_proto::statement::SubjectIdentifier;
use jisr_proto::v1::SubjectKind;
use serde::Serialize;

use crate::{instant, output};

/// One side of one exchange. The order of the fields is that of the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Record {
    pub(super) exchange: String,
    pub(super) role: &'static str,
    pub(super) peer: String,
    pub(super) consumer: String,
    pub(super) provider: String,
    pub(super) provider_origin: String,
    pub(super) service: String,
    pub(super) method: String,
    pub(super) agreement: String,
    pub(super) purpose: Option<String>,
    pub(super) duty: Option<String>,
    pub(super) case: Option<String>,
    pub(super) officer: Option<String>,
    pub(super) consent: Option<String>,
    pub(super) subjects: Vec<Subject>,
    pub(super) outcome: String,
    pub(super) status: u32,
    pub(super) rule: String,
    pub(super) began: String,
    pub(super) closed: Option<String>,
    pub(super) first_entry: u64,
    pub(super) closing_entry: Option<u64>,
    pub(super) sealed: Vec<&'static str>,
    pub(super) erased: Vec<&'static str>,
}

/// An identifier of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Subject {
    pub(super) kind: String,
    pub(super) value: String,
}

/// Names of the columns.
pub(super) const COLUMNS: [&str; 24] = [
    "exchange",
    "role",
    "peer",
    "consumer",
    "provider",
    "provider_origin",
    "service",
    "method",
    "agreement",
    "purpose",
    "duty",
    "case",
    "officer",
    "consent",
    "subjects",
    "outcome",
    "status",
    "rule",
    "began",
    "closed",
    "first_entry",
    "closing_entry",
    "sealed",
    "erased",
];

impl Record {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let asked = exchange.asked();
        let text = |text: Option<&str>| text.map(str::to_owned);
        let subjects = asked
            .and_then(|asked| asked.subject())
            .map(|subject| &subject.identifiers);
        let question = exchange.question.as_ref();
        Self {
            exchange: exchange.id.to_string(),
            role: exchange.role.as_str(),
            peer: exchange.peer.clone(),
            consumer: exchange.consumer.clone(),
            provider: exchange.provider.clone(),
            provider_origin: exchange.provider_origin.clone(),
            service: exchange.service.clone(),
            method: exchange.method.clone(),
            agreement: output::hex(&exchange.agreement),
            purpose: text(exchange.purpose()),
            duty: text(asked.and_then(|asked| asked.duty())),
            case: text(asked.and_then(|asked| asked.case())),
            officer: text(asked.and_then(|asked| asked.officer())),
            consent: text(asked.and_then(|asked| asked.consent())),
            subjects: subjects.into_iter().flatten().map(Subject::of).collect(),
            outcome: exchange.outcome_name(),
            status: exchange.status,
            rule: exchange.rule.clone(),
            began: instant::precise(exchange.began_us),
            closed: exchange.closed_us.map(instant::precise),
            first_entry: exchange.first,
            closing_entry: exchange.closing,
            sealed: question.map(|entry| names(&entry.sealed)).unwrap_or_default(),
            erased: question.map(|entry| names(&entry.erased)).unwrap_or_default(),
        }
    }

    /// The cells of a row, in the order of [`COLUMNS`].
    pub(super) fn cells(&self) -> [String; 24] {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let subjects: Vec<String> = self
            .subjects
            .iter()
            .map(|subject| format!("{}:{}", subject.kind, subject.value))
            .collect();
        [
            self.exchange.clone(),
            self.role.to_owned(),
            self.peer.clone(),
            self.consumer.clone(),
            self.provider.clone(),
            self.provider_origin.clone(),
            self.service.clone(),
            self.method.clone(),
            self.agreement.clone(),
            optional(&self.purpose),
            optional(&self.duty),
            optional(&self.case),
            optional(&self.officer),
            optional(&self.consent),
            subjects.join("; "),
            self.outcome.clone(),
            self.status.to_string(),
            self.rule.clone(),
            self.began.clone(),
            optional(&self.closed),
            self.first_entry.to_string(),
            self.closing_entry.map(|index| index.to_string()).unwrap_or_default(),
            self.sealed.join(" "),
            self.erased.join(" "),
        ]
    }
}

/// One line for people.
pub(super) fn line(exchange: &Exchange) -> String {
    let what = match exchange.rule.as_str() {
        "" => exchange.outcome_name(),
        rule => format!("{} {rule}", exchange.outcome_name()),
    };
    let verb = match exchange.role {
        Role::Consumer => "asked",
        Role::Provider => "was asked by",
    };
    output::printable(&format!(
        "{}  {}  {verb} {}  {}/{}  {}  {what}",
        instant::show(exchange.began_us),
        exchange.id,
        or_dash(&exchange.peer),
        or_dash(&exchange.service),
        or_dash(&exchange.method),
        or_dash(purpose(exchange)),
    ))
}

/// The purpose, or why there is none to show.
pub(super) fn purpose(exchange: &Exchange) -> &str {
    let is_erased = |tag: Tag| {
        exchange
            .question
            .as_ref()
            .is_some_and(|entry| entry.erased.contains(&tag))
    };
    match exchange.purpose() {
        Some(purpose) => purpose,
        None if is_erased(Tag::Purpose) => "(erased)",
        None => "",
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

impl Subject {
    fn of(one: &SubjectIdentifier) -> Self {
        let known = i32::try_from(one.kind)
            .ok()
            .and_then(|number| SubjectKind::try_from(number).ok());
        let kind = known.map_or_else(|| one.kind.to_string(), |kind| kind.as_str_name().to_ascii_lowercase());
        Self {
            kind,
            value: one.value.clone(),
        }
    }
}

fn names(tags: &[Tag]) -> Vec<&'static str> {
    tags.iter().map(|tag| tag.name()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bytes::Bytes;
    use jisr_ledger::archive::Entry;
    use jisr_ledger::statement::{Draft, Parsed};
    use jisr_proto::ident::ExchangeId;
    use jisr_proto::statement::{Core, Kind, Subject as People};

    /// When the questions of the tests were made: 2026-09-21T14:13:20Z.
    pub(crate) const BEGAN_US: u64 = 1_790_000_000_000_000;

    /// An exchange that was delivered, with this purpose.
    pub(crate) fn exchange(purpose: &str) -> Exchange {
        let id = ExchangeId::new_v7(BEGAN_US, [7; 10]);
        let core = Core {
            format: 1,
            kind: Kind::Asked as i32,
            instance: "JO".into(),
            exchange_id: Bytes::copy_from_slice(id.as_bytes()),
            created_us: BEGAN_US,
            expires_us: BEGAN_US + 60_000_000,
            consumer: "JO/GOV/mol/permits".into(),
            provider: "JO/GOV/psd/residency".into(),
            provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
            service: "jo.residency.v1.ResidencePermits".into(),
            method: "CheckStatus".into(),
            agreement: Bytes::from_static(&[1; 32]),
            snapshot: Bytes::from_static(&[2; 32]),
            schema: Bytes::from_static(&[3; 32]),
            key_set: Bytes::from_static(&[4; 32]),
            snapshot_version: 4,
            mask: "*".into(),
            ..Core::default()
        };
        let people = People {
            identifiers: vec![SubjectIdentifier {
                kind: 1,
                value: "9901234567".into(),
            }],
        };
        let draft = Draft::new(core.clone())
            .purpose(purpose)
            .case("ق-1")
            .subject(&people)
            .payload(b"q");
        let statement = Parsed::parse(&draft.close().statement()).unwrap();
        Exchange {
            id,
            role: Role::Consumer,
            peer: "JO/GOV/psd".into(),
            consumer: core.consumer,
            provider: core.provider,
            provider_origin: core.provider_origin,
            service: core.service,
            method: core.method,
            agreement: core.agreement,
            began_us: BEGAN_US,
            closed_us: Some(BEGAN_US + 5),
            outcome: Some(Kind::Delivered),
            status: 0,
            rule: String::new(),
            first: 3,
            closing: Some(4),
            question: Some(Box::new(Entry {
                statement,
                erased: Vec::new(),
                sealed: Vec::new(),
            })),
        }
    }

    #[test]
    fn keys_and_columns_are_the_same() {
        let record = Record::of(&exchange("work"));
        let object = serde_json::to_string(&record).unwrap();
        let mut at = 0;
        for column in COLUMNS {
            let key = format!("\"{column}\":");
            at += object[at..]
                .find(&key)
                .unwrap_or_else(|| panic!("{column} after byte {at} of {object}"));
        }
        assert_eq!(record.cells().len(), COLUMNS.len());
        assert!(object.contains(r#""case":"ق-1""#) && object.contains(r#""kind":"personal_number""#));
        assert!(object.contains(r#""began":"2026-09-21T14:13:20.000000Z""#));
    }

    #[test]
    fn a_line_is_one_line() {
        let mut exchange = exchange("work");
        exchange.method = "Check\nStatus\u{202e}".into();
        assert!(!line(&exchange).contains(['\n', '\u{202e}']));
    }
}
