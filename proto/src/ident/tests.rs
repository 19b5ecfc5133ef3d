use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;

use super::*;

fn accepted<T: FromStr<Err = IdentError> + Display>(texts: &[&str]) {
    for text in texts {
        assert_eq!(text.parse::<T>().map(|value| value.to_string()).as_deref(), Ok(*text));
    }
}

fn refused<T: FromStr<Err = IdentError> + Debug>(texts: &[&str]) {
    for text in texts {
        assert!(text.parse::<T>().is_err(), "{text:?}");
    }
}

#[test]
fn names() {
    accepted::<Instance>(&["JO", "J1", "ABCDEFGHIJKLMNOP"]);
    refused::<Instance>(&["", "J", "1J", "Jo", "JO ", "J-O", "ABCDEFGHIJKLMNOPQ", "ج١"]);
    accepted::<Code>(&["a", "mol", "node1", "a-b-c", "a2345678901234567890123456789012"]);
    refused::<Code>(&[
        "",
        "1a",
        "-a",
        "a-",
        "a--b",
        "A",
        "a_b",
        "a.b",
        "a/b",
        "a23456789012345678901234567890123",
    ]);
    accepted::<Epoch>(&["2026", "2026-2", "2026-9999"]);
    refused::<Epoch>(&[
        "",
        "26",
        "2026-",
        "2026-0",
        "2026-02",
        "2026-10000",
        "2026-2-2",
        "٢٠٢٦",
        "-2026",
    ]);
}

#[test]
fn members_and_what_belongs_to_them() {
    accepted::<MemberId>(&["JO/GOV/mol"]);
    refused::<MemberId>(&[
        "JO/GOV",
        "JO/GOV/mol/",
        "/JO/GOV/mol",
        "JO//mol",
        "JO/G/mol",
        "JO/GOVERNMEN/mol",
        "JO/GOV/mol/x",
    ]);
    accepted::<SubsystemId>(&["JO/GOV/mol/permits", "JO/COM/a/b"]);
    refused::<SubsystemId>(&[
        "JO/GOV/mol",
        "JO/GOV/mol/node",
        "JO/GOV/mol/officer",
        "JO/GOV/mol/registry",
        "JO/GOV/mol/subsystem",
        "JO/GOV/mol/a/b",
        "JO/GOV/mol/",
        "JO/GOV/mol/A",
    ]);
    accepted::<NodeId>(&["JO/GOV/mol/node/node1"]);
    refused::<NodeId>(&[
        "JO/GOV/mol/node",
        "JO/GOV/mol/node/",
        "JO/GOV/mol/nodes/a",
        "JO/GOV/mol/node/a/b",
        "JO/GOV/mol/node1",
    ]);
    accepted::<OfficerId>(&["JO/GOV/mol/officer/rania"]);

    let node: NodeId = "JO/GOV/mol/node/node1".parse().expect("node");
    assert_eq!(node.member().as_str(), "JO/GOV/mol");
    assert_eq!(
        (node.member().class(), node.code().as_str(), node.instance().as_str()),
        ("GOV", "node1", "JO")
    );
    assert_eq!(node.witness_name(), "jisr/JO/GOV/mol/node1/witness");
    let subsystem: SubsystemId = "JO/GOV/mol/permits".parse().expect("subsystem");
    assert_eq!(
        (subsystem.member(), subsystem.code().as_str()),
        (node.member(), "permits")
    );
    assert_eq!(node.member().subsystem(&"node".parse().expect("code")), None);
}

#[test]
fn origins() {
    accepted::<Origin>(&[
        "jisr/JO/GOV/mol/node1/2026",
        "jisr/JO/registry/2026-2",
        "jisr/JO/GOV/registry/registry/2026",
    ]);
    refused::<Origin>(&[
        "JO/GOV/mol/node1/2026",
        "jisr/JO/GOV/mol/2026",
        "jisr/JO/GOV/mol/node/node1/2026",
        "jisr/JO/GOV/mol/node1",
        "jisr/jo/registry/2026",
        "jisr/JO/registry/",
        "jisr//registry/2026",
        "jisr/JO/GOV/mol/node1/2026/",
    ]);
    let epoch: Epoch = "2026".parse().expect("epoch");
    let node: NodeId = "JO/GOV/mol/node/node1".parse().expect("node");
    let origin = node.origin(&epoch);
    assert_eq!(origin.as_str(), "jisr/JO/GOV/mol/node1/2026");
    assert_eq!(
        (origin.node(), origin.member(), origin.epoch()),
        (Some(node.clone()), Some(node.member()), epoch.clone())
    );
    assert_eq!(origin.operator(), "JO/GOV/mol");
    let registry = Origin::registry(&node.instance(), &epoch);
    assert_eq!(
        (registry.as_str(), registry.node(), registry.member()),
        ("jisr/JO/registry/2026", None, None)
    );
    assert_eq!(
        (registry.instance(), registry.operator()),
        (node.instance(), "JO/registry".to_owned())
    );
}

#[test]
fn spiffe_ids_lose_nothing() {
    let node: NodeId = "JO/GOV/mol/node/node1".parse().expect("node");
    assert_eq!(node.spiffe(), "spiffe://jo/gov/mol/node/node1");
    assert_eq!(NodeId::from_spiffe(&node.spiffe()), Ok(node.clone()));
    let subsystem: SubsystemId = "JO/GOV/mol/permits".parse().expect("subsystem");
    assert_eq!(
        SubsystemId::from_spiffe("spiffe://jo/gov/mol/subsystem/permits"),
        Ok(subsystem)
    );
    assert_eq!(
        OfficerId::from_spiffe("spiffe://jo/gov/mol/officer/rania")
            .map(|o| o.spiffe())
            .as_deref(),
        Ok("spiffe://jo/gov/mol/officer/rania")
    );
    assert_eq!(node.instance().registry_spiffe(), "spiffe://jo/registry");
    for uri in [
        "spiffe://JO/gov/mol/node/node1",
        "spiffe://jo/GOV/mol/node/node1",
        "spiffe://jo/gov/mol/officer/node1",
        "SPIFFE://jo/gov/mol/node/node1",
        "spiffe://jo/gov/mol/node/node1/",
        "spiffe://jo/gov/mol/x/node/node1",
        "spiffe://jo/gov/mol/node/",
        "spiffe://jo/gov/mol/node/node1?q",
        "spiffe:///gov/mol/node/node1",
        "",
    ] {
        assert!(NodeId::from_spiffe(uri).is_err(), "{uri}");
    }
    assert!(SubsystemId::from_spiffe("spiffe://jo/gov/mol/subsystem/node").is_err());
}

#[test]
fn services_and_paths() {
    accepted::<ServiceName>(&["jo.residency.v1.ResidencePermits", "a._b"]);
    let long = format!("a.{}", "b".repeat(199));
    refused::<ServiceName>(&[
        "",
        "ResidencePermits",
        ".a.b",
        "a..b",
        "a.b.",
        "a.1b",
        "a.b/c",
        "a.b-c",
        long.as_str(),
    ]);
    let path = MethodPath::parse("/jo.residency.v1.ResidencePermits/CheckStatus").expect("path");
    assert_eq!(
        (path.service.as_str(), path.method.as_str()),
        ("jo.residency.v1.ResidencePermits", "CheckStatus")
    );
    assert_eq!(path.to_string(), "/jo.residency.v1.ResidencePermits/CheckStatus");
    refused::<MethodPath>(&[
        "", "/", "a.b/C", "/a.b", "/a.b/", "/a.b/C/", "//C", "/a.b/C?x", "/a.b//C",
    ]);
}

#[test]
fn exchange_ids_are_of_version_7_and_have_one_text() {
    let id = ExchangeId::new_v7(1_790_000_000_123_456, [0xff; 10]);
    assert_eq!(id.time_ms(), 1_790_000_000_123);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(ExchangeId::try_from(&id.as_bytes()[..]), Ok(id));
    refused::<ExchangeId>(&[
        "",
        "01932b5e-7c00-4abc-8def-0123456789ab",
        "01932b5e-7c00-7abc-cdef-0123456789ab",
        "01932B5E-7C00-7ABC-8DEF-0123456789AB",
        "01932b5e7c007abc8def0123456789ab",
        "{01932b5e-7c00-7abc-8def-0123456789ab}",
        "urn:uuid:01932b5e-7c00-7abc-8def-0123456789ab",
    ]);
    for bytes in [
        &[][..],
        &[0; 16],
        &id.as_bytes()[..15],
        &[&id.as_bytes()[..], &[0]].concat(),
    ] {
        assert!(ExchangeId::try_from(bytes).is_err());
    }
    assert!(ExchangeId::new_v7(2_000, [0; 10]) < ExchangeId::new_v7(3_000, [0; 10]));
}

#[test]
fn maps_can_be_asked_with_text() {
    let member: MemberId = "JO/GOV/mol".parse().expect("member");
    assert!(HashMap::from([(member, ())]).contains_key("JO/GOV/mol"));
}

#[test]
fn errors_repeat_little_of_the_text_and_teach() {
    let error = "x"
        .repeat(10_000)
        .parse::<SubsystemId>()
        .expect_err("refused")
        .to_string();
    assert!(error.len() < 400 && error.contains("JO/GOV/mol/permits"), "{error}");
    let forged = "mol\nnode stopped".parse::<Code>().expect_err("refused").to_string();
    assert!(!forged.contains('\n'));
}

proptest! {
    #[test]
    fn any_text_is_read_back_or_refused(text in "(jisr/|spiffe://|/)?[A-Zjo]{0,4}/?\\PC{0,30}") {
        if let Ok(origin) = text.parse::<Origin>() { prop_assert_eq!(origin.as_str(), text.as_str()); }
        if let Ok(node) = NodeId::from_spiffe(&text) { prop_assert_eq!(node.spiffe(), text.as_str()); }
        if let Ok(path) = text.parse::<MethodPath>() { prop_assert_eq!(path.to_string(), text.as_str()); }
        let _ = (text.parse::<SubsystemId>(), text.parse::<ExchangeId>(), text.parse::<Epoch>());
    }

    #[test]
    fn what_is_put_together_comes_apart(
        instance in "[A-Z][A-Z0-9]{1,15}", class in "[A-Z]{2,8}", code in "[a-z][a-z0-9]{0,31}", node in "[a-z](-[a-z0-9]){0,8}",
        year in 0u32..10_000,
    ) {
        let instance: Instance = instance.parse().expect("instance");
        let member = MemberId::new(&instance, &class, &code.parse().expect("code")).expect("member");
        let node = member.node(&node.parse().expect("code"));
        let origin = node.origin(&format!("{year:04}").parse().expect("epoch"));
        prop_assert_eq!(origin.as_str().parse::<Origin>().expect("origin").node(), Some(node.clone()));
        prop_assert_eq!(NodeId::from_spiffe(&node.spiffe()), Ok(node.clone()));
        prop_assert_eq!((node.member(), node.instance()), (member, instance));
    }
}
