//! Which kind of statement has which parts and fields (docs/formats.md, the table of kinds).

use super::{CoreView, PARTS_MAX, StatementError, Tag, act::carries_act};
use jisr_proto::statement::Kind;

/// What the table says about a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Must,
    May,
    Never,
}

/// Checks kind, tags and fields against each other. `core.tags` lists the tags present.
pub(super) fn check(core: &CoreView<'_>) -> Result<Kind, StatementError> {
    if core.format != 1 {
        return Err(StatementError::Unknown("its format is not 1"));
    }
    let kind = Kind::try_from(core.kind).unwrap_or(Kind::Unspecified);
    let is_exchange = (Kind::Asked as i32..=Kind::LateAnswer as i32).contains(&core.kind);
    if kind == Kind::Unspecified || !(is_exchange || core.kind >= Kind::Started as i32) {
        return Err(StatementError::Unknown("its kind is none that stands alone"));
    }
    let wrong = |why| StatementError::Shape { kind, why };
    let cites = core.tags.contains(&Tag::Peer.number());
    for tag in Tag::ALL {
        let present = core.tags.contains(&tag.number());
        match rule(kind, is_exchange, cites, tag) {
            Rule::Must if !present => return Err(wrong("lacks a part that it must have")),
            Rule::Never if present => return Err(wrong("has a part that it must not have")),
            _ => {}
        }
    }
    if core.instance.is_empty() || core.created_us == 0 {
        return Err(wrong("lacks its instance or its time"));
    }
    let digests = [core.agreement, core.snapshot, core.schema, core.key_set];
    if digests.iter().any(|digest| !matches!(digest.len(), 0 | 32)) || !matches!(core.repeats.len(), 0 | 16) {
        return Err(wrong("has a digest or id of the wrong length"));
    }
    if is_exchange {
        exchange(core, kind).map_err(wrong)?
    } else if !core.exchange_id.is_empty() {
        return Err(wrong("is an act, yet names an exchange"));
    }
    Ok(kind)
}

fn rule(kind: Kind, is_exchange: bool, cites: bool, tag: Tag) -> Rule {
    if tag == Tag::Core {
        return Rule::Must;
    }
    if !is_exchange {
        return if tag == Tag::Act && carries_act(kind) {
            Rule::Must
        } else {
            Rule::Never
        };
    }
    match (tag, kind) {
        (Tag::Act, _) => Rule::Never,
        (Tag::Payload, Kind::Asked | Kind::Answered) | (Tag::Purpose, Kind::Asked) => Rule::Must,
        (Tag::Payload, _) => Rule::Never,
        (Tag::Peer, Kind::Received | Kind::Answered | Kind::Delivered | Kind::LateAnswer) => Rule::Must,
        (Tag::Peer, Kind::Asked | Kind::NotSent) => Rule::Never,
        (Tag::Peer, _) => Rule::May,
        // The asker's references stand in ASKED, or in what closes an exchange for which no ASKED was made.
        (_, Kind::Asked) => Rule::May,
        (_, Kind::Refused | Kind::Failed | Kind::Cancelled | Kind::NotSent) if !cites => Rule::May,
        _ => Rule::Never,
    }
}

fn exchange(core: &CoreView<'_>, kind: Kind) -> Result<(), &'static str> {
    if !is_uuid_v7(core.exchange_id) {
        return Err("has an exchange id that is no UUIDv7");
    }
    let committed = matches!(kind, Kind::Asked | Kind::Answered);
    if core.payload_bytes != 0 && !committed {
        return Err("gives a length, but commits to no message");
    }
    if kind != Kind::Asked {
        return Ok(());
    }
    let names = [
        core.consumer,
        core.provider,
        core.provider_origin,
        core.service,
        core.method,
        core.mask,
    ];
    let digests = [core.agreement, core.snapshot, core.schema, core.key_set];
    if names.iter().any(|name| name.is_empty()) || digests.iter().any(|digest| digest.is_empty()) {
        return Err("lacks a field that every question has");
    }
    if core.expires_us <= core.created_us {
        return Err("expires before it was made");
    }
    Ok(())
}

/// RFC 9562: version 7, variant 10.
fn is_uuid_v7(id: &[u8]) -> bool {
    id.len() == 16 && id.get(6).is_some_and(|byte| byte >> 4 == 7) && id.get(8).is_some_and(|byte| byte >> 6 == 2)
}

const _: () = assert!(PARTS_MAX == Tag::ALL.len());

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bytes::Bytes;
    use jisr_proto::statement::Core;

    fn check(core: &Core) -> Result<Kind, StatementError> {
        super::check(&CoreView::from(core))
    }

    pub(crate) fn asked() -> Core {
        Core {
            format: 1,
            kind: Kind::Asked as i32,
            instance: "JO".into(),
            exchange_id: Bytes::from_static(&[1, 0x98, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]),
            created_us: 1_790_000_000_000_000,
            expires_us: 1_790_000_060_000_000,
            tags: Bytes::from_static(&[1, 2, 8]),
            consumer: "JO/GOV/mol/permits".into(),
            provider: "JO/GOV/psd/residency".into(),
            provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
            service: "jo.residency.v1.ResidencePermits".into(),
            method: "CheckStatus".into(),
            agreement: Bytes::from_static(&[1; 32]),
            snapshot_version: 4,
            snapshot: Bytes::from_static(&[2; 32]),
            schema: Bytes::from_static(&[3; 32]),
            key_set: Bytes::from_static(&[4; 32]),
            payload_bytes: 5,
            mask: "*".into(),
            no_side_effects: true,
            ..Core::default()
        }
    }

    #[test]
    fn a_good_question_passes() {
        assert_eq!(check(&asked()), Ok(Kind::Asked));
    }

    #[test]
    fn each_broken_rule_is_found() {
        let breaks: [fn(&mut Core); 15] = [
            |core| core.format = 2,
            |core| core.kind = 0,
            |core| core.kind = 21,
            |core| core.kind = 99,
            |core| core.tags = Bytes::from_static(&[1, 8]),
            |core| core.tags = Bytes::from_static(&[1, 2]),
            |core| core.tags = Bytes::from_static(&[1, 2, 8, 9]),
            |core| core.tags = Bytes::from_static(&[1, 2, 8, 10]),
            |core| core.instance.clear(),
            |core| core.created_us = 0,
            |core| core.expires_us = core.created_us,
            |core| core.agreement = Bytes::from_static(&[1; 31]),
            |core| core.agreement.clear(),
            |core| core.exchange_id = Bytes::from_static(&[0; 16]),
            |core| core.method.clear(),
        ];
        for (at, break_it) in breaks.iter().enumerate() {
            let mut core = asked();
            break_it(&mut core);
            assert!(check(&core).is_err(), "rule {at}");
        }
    }

    #[test]
    fn an_act_names_no_exchange() {
        let mut core = asked();
        core.kind = Kind::Started as i32;
        core.tags = Bytes::from_static(&[1, 10]);
        core.payload_bytes = 0;
        assert!(check(&core).is_err());
        core.exchange_id.clear();
        assert_eq!(check(&core), Ok(Kind::Started));
        core.kind = Kind::Ended as i32;
        assert!(check(&core).is_err());
        core.tags = Bytes::from_static(&[1]);
        assert_eq!(check(&core), Ok(Kind::Ended));
    }
}
