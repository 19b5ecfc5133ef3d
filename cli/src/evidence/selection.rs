//! Which exchanges an export is about.

use bytes::Bytes;
use clap::Args;
use jisr_proto::admin::ExchangeFilter;
use jisr_proto::ident::{ExchangeId, MemberId};
use jisr_proto::statement::SubjectIdentifier;
use jisr_proto::v1::SubjectKind;

use crate::failure::Failure;
use crate::instant;

/// Which exchanges. Of several conditions all must hold.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Selection {
    /// Id of one exchange, as `jisr call` and the metadata jisr-exchange-id tell it: the file is about it alone
    #[arg(value_name = "ID", conflicts_with_all = ["exchange", "case", "subject", "peer", "from", "until"])]
    pub(super) id: Option<ExchangeId>,
    /// These exchanges
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(super) exchange: Vec<ExchangeId>,
    /// Exchanges of a case, by its reference as the question gave it
    #[arg(long, value_name = "CASE")]
    pub(super) case: Option<String>,
    /// Exchanges about a person: personal-number=9871234567, travel-document=… or sector-pseudonym=…
    #[arg(long, value_name = "KIND=VALUE", value_parser = subject)]
    pub(super) subject: Option<SubjectIdentifier>,
    /// Exchanges with a member, for example JO/GOV/psd
    #[arg(long, value_name = "MEMBER")]
    pub(super) peer: Option<MemberId>,
    /// Exchanges that began at this instant or later, RFC 3339
    #[arg(long, value_name = "T")]
    pub(super) from: Option<String>,
    /// Exchanges that began before this instant, RFC 3339
    #[arg(long, value_name = "T")]
    pub(super) until: Option<String>,
}

impl Selection {
    /// As the node's admin door takes it.
    pub(super) fn filter(&self) -> Result<ExchangeFilter, Failure> {
        let instant = |text: &Option<String>| text.as_deref().map_or(Ok(0), instant::parse);
        let filter = ExchangeFilter {
            case_reference: self.case.clone().unwrap_or_default(),
            subject: self.subject.clone(),
            peer: self.peer.as_ref().map(ToString::to_string).unwrap_or_default(),
            from_us: instant(&self.from)?,
            until_us: instant(&self.until)?,
            exchanges: self
                .exchange
                .iter()
                .chain(&self.id)
                .map(|id| Bytes::copy_from_slice(id.as_bytes()))
                .collect(),
        };
        if filter == ExchangeFilter::default() {
            return Err(Failure::usage(
                "nothing says which exchanges the file is to prove",
                "name an exchange, or choose by --case, --subject, --peer, --from, --until or --exchange",
            ));
        }
        Ok(filter)
    }
}

/// `personal-number=9871234567`.
fn subject(text: &str) -> Result<SubjectIdentifier, String> {
    let wrong = || {
        format!(
            "{text:?} is no identifier of a person: write personal-number=, travel-document= or sector-pseudonym= before it"
        )
    };
    let (kind, value) = text.split_once('=').ok_or_else(wrong)?;
    let name = kind.to_ascii_uppercase().replace('-', "_");
    let kind = SubjectKind::from_str_name(&name).ok_or_else(wrong)?;
    if kind == SubjectKind::Unspecified || value.is_empty() {
        return Err(wrong());
    }
    Ok(SubjectIdentifier {
        kind: kind as u32,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    const ID: &str = "019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60";

    fn parse(extra: &[&str]) -> Result<Selection, clap::Error> {
        Line::try_parse_from(std::iter::once(&"x").chain(extra)).map(|line| line.selection)
    }

    #[test]
    fn a_person_is_named_with_the_kind_of_identifier() {
        let selection = parse(&["--subject", "personal-number=98=1"]).unwrap();
        let named = selection.filter().unwrap().subject.unwrap();
        assert_eq!((named.kind, named.value.as_str()), (1, "98=1"));
        for bad in ["9871234567", "personal-number=", "subject-kind-unspecified=1", "=1"] {
            assert!(parse(&["--subject", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn something_must_be_chosen() {
        assert!(parse(&[]).unwrap().filter().is_err());
        assert!(parse(&["--from", "yesterday"]).unwrap().filter().is_err());
        assert!(parse(&[ID, "--case", "1"]).is_err());
        let two = parse(&["--exchange", ID, ID]).unwrap();
        assert_eq!(two.filter().unwrap().exchanges.len(), 2);
    }
}
