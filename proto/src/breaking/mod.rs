//! Whether a new version of a schema breaks what was agreed on an old one.
//!
//! Compared are the methods that somebody rests on, with every message and enum that they lead to; what nobody rests on may
//! change. The rules are those of `buf breaking` in its category WIRE_JSON, for descriptors instead of files: what was sent by
//! the old schema must be read by the new one as it was meant, and the other way round, in binary and in JSON. To them come the
//! annotations of `jisr/v1/annotations.proto`: what they protect must not be protected less.
//!
//! Both schemas come from strangers: nothing here recurses, and each pair of types is compared once.

mod enums;
mod fields;
mod messages;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use prost_reflect::{EnumDescriptor, MessageDescriptor};

use crate::annotations::{MethodSchema, ServiceSchema};

pub use rule::Rule;

/// Most breaks that are named; a schema that has more is another schema.
pub const BREAKS_MAX: usize = 32;

/// One place where the new version breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// The full name of what is broken, as the old version has it.
    pub place: String,
    /// The rule.
    pub rule: Rule,
    /// What was and what is, in words.
    pub text: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.text, self.rule)
    }
}

/// Where `new` breaks `old` for those who call `methods`, by place; at most [`BREAKS_MAX`]. Empty: nothing they rest on is broken.
pub fn breaks(old: &ServiceSchema, new: &ServiceSchema, methods: &BTreeSet<String>) -> Vec<Break> {
    let mut comparison = Comparison {
        old,
        new,
        found: BTreeSet::new(),
        messages: Waiting::default(),
        enums: Waiting::default(),
    };
    for (name, was) in old.methods().filter(|(name, _)| methods.contains(*name)) {
        match new.method(name) {
            Some(is) => comparison.method(was, is),
            None => comparison.note(
                Rule::RpcNoDelete,
                was.descriptor().full_name(),
                "the method is gone".into(),
            ),
        }
    }
    comparison.finish()
}

/// Pairs of types that are still to be compared; each comes once.
struct Waiting<T> {
    seen: BTreeSet<(String, String)>,
    pairs: VecDeque<(T, T)>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting {
            seen: BTreeSet::new(),
            pairs: VecDeque::new(),
        }
    }
}

impl<T> Waiting<T> {
    fn add(&mut self, names: (&str, &str), pair: (T, T)) {
        if self.seen.insert((names.0.to_owned(), names.1.to_owned())) {
            self.pairs.push_back(pair);
        }
    }
}

struct Comparison<'s> {
    old: &'s ServiceSchema,
    new: &'s ServiceSchema,
    found: BTreeSet<Break>,
    messages: Waiting<MessageDescriptor>,
    enums: Waiting<EnumDescriptor>,
}

impl Comparison<'_> {
    fn note(&mut self, rule: Rule, place: &str, text: String) {
        let place = place.to_owned();
        self.found.insert(Break { place, rule, text });
    }

    fn finish(mut self) -> Vec<Break> {
        while self.found.len() < BREAKS_MAX {
            if let Some((old, new)) = self.messages.pairs.pop_front() {
                self.message(&old, &new);
            } else if let Some((old, new)) = self.enums.pairs.pop_front() {
                self.enumeration(&old, &new);
            } else {
                break;
            }
        }
        self.found.into_iter().take(BREAKS_MAX).collect()
    }

    fn method(&mut self, old: &MethodSchema, new: &MethodSchema) {
        let (was, is) = (old.descriptor(), new.descriptor());
        let place = was.full_name();
        let streams = |streams: bool| if streams { "streams" } else { "is one message" };
        let (before, now) = (was.is_client_streaming(), is.is_client_streaming());
        if before != now {
            let text = format!("its request {} instead of: {}", streams(now), streams(before));
            self.note(Rule::RpcSameClientStreaming, place, text);
        }
        let (before, now) = (was.is_server_streaming(), is.is_server_streaming());
        if before != now {
            let text = format!("its reply {} instead of: {}", streams(now), streams(before));
            self.note(Rule::RpcSameServerStreaming, place, text);
        }
        let level = |method: &prost_reflect::MethodDescriptor| {
            let options = method.method_descriptor_proto().options.as_ref();
            options.map_or_else(Default::default, |options| options.idempotency_level())
        };
        if level(was) != level(is) {
            let text = format!(
                "idempotency_level was {} and is {}",
                level(was).as_str_name(),
                level(is).as_str_name()
            );
            self.note(Rule::RpcSameIdempotencyLevel, place, text);
        }
        self.method_annotations(old, new);
        self.types(Rule::RpcSameRequestType, place, &was.input(), &is.input());
        self.types(Rule::RpcSameResponseType, place, &was.output(), &is.output());
    }

    fn method_annotations(&mut self, old: &MethodSchema, new: &MethodSchema) {
        let place = old.descriptor().full_name();
        if (new.evidence_class as i32) < old.evidence_class as i32 {
            let (was, is) = (old.evidence_class.as_str_name(), new.evidence_class.as_str_name());
            let text = format!("(jisr.v1.evidence_class) was {was} and is {is}");
            self.note(Rule::RpcEvidenceClassNotLowered, place, text);
        }
        if old.bulk != new.bulk {
            let text = format!("(jisr.v1.bulk) was {} and is {}", old.bulk, new.bulk);
            self.note(Rule::RpcSameBulk, place, text);
        }
        if old.one_size && !new.one_size {
            self.note(
                Rule::RpcOneSizeAnswerKept,
                place,
                "(jisr.v1.one_size_answer) is gone".into(),
            );
        }
        if old.keep_payload_days != new.keep_payload_days {
            let (was, is) = (old.keep_payload_days, new.keep_payload_days);
            let text = format!("(jisr.v1.keep_payload_days) was {was} and is {is}");
            self.note(Rule::RpcSameKeepPayloadDays, place, text);
        }
    }

    /// Two messages that stand in the same place: they must have the same name, and are then compared.
    fn types(&mut self, rule: Rule, place: &str, old: &MessageDescriptor, new: &MessageDescriptor) {
        let (was, is) = (old.full_name(), new.full_name());
        if was == is {
            self.messages.add((was, is), (old.clone(), new.clone()));
        } else {
            self.renamed(rule, place, (was, old.package_name()), (is, new.package_name()));
        }
    }

    /// A type has another name: another type, or the same one in another package.
    fn renamed(&mut self, rule: Rule, place: &str, (was, from): (&str, &str), (is, to): (&str, &str)) {
        let within = |name: &str, package: &str| {
            let rest = name.strip_prefix(package).unwrap_or(name);
            rest.strip_prefix('.').unwrap_or(rest).to_owned()
        };
        if from != to && within(was, from) == within(is, to) {
            let text = format!("{was} went from package {from} to {to}");
            self.note(Rule::FileSamePackage, place, text);
        } else {
            self.note(rule, place, format!("was {was} and is {is}"));
        }
    }
}
