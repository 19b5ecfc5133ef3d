//! Messages: which fields are there, what is reserved.

use std::ops::Range;

use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::{Comparison, Rule};

impl Comparison<'_> {
    /// Two versions of a message.
    pub(super) fn message(&mut self, old: &MessageDescriptor, new: &MessageDescriptor) {
        for was in old.fields() {
            match new.get_field(was.number()) {
                Some(is) => self.field(&was, &is),
                None => self.removed(&was, new),
            }
        }
        self.required(old, new);
        self.reserved(old, new);
        let set = |message: &MessageDescriptor| {
            let options = message.descriptor_proto().options.as_ref();
            options.is_some_and(|options| options.message_set_wire_format())
        };
        if set(old) != set(new) {
            let text = format!("message_set_wire_format was {} and is {}", set(old), set(new));
            self.note(Rule::MessageSameMessageSetWireFormat, old.full_name(), text);
        }
    }

    fn removed(&mut self, was: &FieldDescriptor, new: &MessageDescriptor) {
        let (number, name, place) = (was.number(), was.name(), was.full_name());
        if !new.reserved_ranges().any(|range| range.contains(&number)) {
            let text = format!("the field is gone, and its number {number} is not reserved");
            self.note(Rule::FieldNoDeleteUnlessNumberReserved, place, text);
        }
        if new.get_field_by_name(name).is_none() && !new.reserved_names().any(|reserved| reserved == name) {
            let text = "the field is gone, and its name is not reserved".to_owned();
            self.note(Rule::FieldNoDeleteUnlessNameReserved, place, text);
        }
        if self.old.subject_kind(was) != 0 {
            let text = "the field named a person, and is gone".to_owned();
            self.note(Rule::FieldSameSubject, place, text);
        }
    }

    fn required(&mut self, old: &MessageDescriptor, new: &MessageDescriptor) {
        let names = |message: &MessageDescriptor| -> Vec<u32> {
            let mut numbers: Vec<u32> = message
                .fields()
                .filter(FieldDescriptor::is_required)
                .map(|field| field.number())
                .collect();
            numbers.sort_unstable();
            numbers
        };
        if names(old) != names(new) {
            let text = format!("the required fields were {:?} and are {:?}", names(old), names(new));
            self.note(Rule::MessageSameRequiredFields, old.full_name(), text);
        }
    }

    fn reserved(&mut self, old: &MessageDescriptor, new: &MessageDescriptor) {
        let kept: Vec<Range<u32>> = new.reserved_ranges().collect();
        for range in old.reserved_ranges() {
            let bounds = (u64::from(range.start), u64::from(range.end));
            let kept = kept.iter().map(|range| (u64::from(range.start), u64::from(range.end)));
            if !covered(bounds, kept.collect()) {
                let text = format!(
                    "the numbers {} to {} are not reserved any more",
                    range.start,
                    range.end.saturating_sub(1)
                );
                self.note(Rule::ReservedMessageNoDelete, old.full_name(), text);
            }
        }
        for name in old.reserved_names() {
            if !new.reserved_names().any(|kept| kept == name) {
                let text = format!("the name `{name}` is not reserved any more");
                self.note(Rule::ReservedMessageNoDelete, old.full_name(), text);
            }
        }
    }
}

/// Whether ranges, the end exclusive, together cover one.
pub(super) fn covered<N: Copy + Ord>((start, end): (N, N), mut by: Vec<(N, N)>) -> bool {
    by.sort_unstable();
    let mut reached = start;
    for (from, to) in by {
        if from <= reached && to > reached {
            reached = to;
        }
    }
    reached >= end
}
