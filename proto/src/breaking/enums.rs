//! Enums: numbers and names go together.

use prost_reflect::EnumDescriptor;

use super::messages::covered;
use super::{Comparison, Rule};

impl Comparison<'_> {
    /// Two versions of an enum.
    pub(super) fn enumeration(&mut self, old: &EnumDescriptor, new: &EnumDescriptor) {
        for was in old.values() {
            let (name, number) = (was.name(), was.number());
            let place = format!("{}.{name}", old.full_name());
            let elsewhere = new.get_value_by_name(name);
            let same_number: Vec<String> = new
                .values()
                .filter(|value| value.number() == number)
                .map(|value| value.name().to_owned())
                .collect();
            if same_number.iter().any(|kept| kept == name) {
                continue;
            }
            if let Some(value) = elsewhere {
                let text = format!("the value had the number {number} and has {}", value.number());
                self.note(Rule::EnumValueSameNumber, &place, text);
            } else if let Some(other) = same_number.first() {
                let text = format!("the number {number} is now that of {other}");
                self.note(Rule::EnumValueSameName, &place, text);
            } else {
                self.value_removed(&place, name, number, new);
            }
        }
        self.enum_reserved(old, new);
    }

    fn value_removed(&mut self, place: &str, name: &str, number: i32, new: &EnumDescriptor) {
        if !new.reserved_ranges().any(|range| range.contains(&number)) {
            let text = format!("the value is gone, and its number {number} is not reserved");
            self.note(Rule::EnumValueNoDeleteUnlessNumberReserved, place, text);
        }
        if !new.reserved_names().any(|reserved| reserved == name) {
            let text = "the value is gone, and its name is not reserved".to_owned();
            self.note(Rule::EnumValueNoDeleteUnlessNameReserved, place, text);
        }
    }

    fn enum_reserved(&mut self, old: &EnumDescriptor, new: &EnumDescriptor) {
        for range in old.reserved_ranges() {
            let bounds =
                |range: &std::ops::RangeInclusive<i32>| (i64::from(*range.start()), i64::from(*range.end()) + 1);
            let kept = new.reserved_ranges().map(|range| bounds(&range)).collect();
            if !covered(bounds(&range), kept) {
                let text = format!(
                    "the numbers {} to {} are not reserved any more",
                    range.start(),
                    range.end()
                );
                self.note(Rule::ReservedEnumNoDelete, old.full_name(), text);
            }
        }
        for name in old.reserved_names() {
            if !new.reserved_names().any(|kept| kept == name) {
                let text = format!("the name `{name}` is not reserved any more");
                self.note(Rule::ReservedEnumNoDelete, old.full_name(), text);
            }
        }
    }
}
