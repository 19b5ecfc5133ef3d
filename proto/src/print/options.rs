//! Options: standard ones by name, extensions by full name, messages in text format.

use prost_reflect::{DynamicMessage, Kind, Value};

use super::PrintError;
use super::writer::{Writer, full_name, name, quoted, quoted_bytes};

/// A field or an extension that is set in an options message.
struct Set<'m> {
    plain: Option<String>,
    extension: Option<String>,
    kind: Kind,
    value: &'m Value,
}

impl Set<'_> {
    /// Its name before `=`, or within a message before `:`.
    fn text(&self, open: &str, close: &str) -> Result<String, PrintError> {
        match (&self.plain, &self.extension) {
            (Some(plain), _) => Ok(name(plain)?.to_owned()),
            (None, Some(extension)) => Ok(format!("{open}{}{close}", full_name(extension)?)),
            (None, None) => Err(PrintError::Name(String::new())),
        }
    }
}

impl Writer {
    /// Each option on a line of its own.
    pub(super) fn options(&mut self, of: &str, options: &DynamicMessage) -> Result<(), PrintError> {
        for option in set(of, options)? {
            self.begin()?;
            self.put("option ")?;
            self.put(&option.text("(", ")")?)?;
            self.put(" = ")?;
            self.value(of, &option)?;
            self.put(";\n")?;
        }
        Ok(())
    }

    /// What stands in brackets behind a field or an enum value: `first`, then the options.
    pub(super) fn bracketed(
        &mut self,
        of: &str,
        first: &[String],
        options: Option<&DynamicMessage>,
    ) -> Result<(), PrintError> {
        let mut before = " [";
        for text in first {
            self.put(before)?;
            self.put(text)?;
            before = ", ";
        }
        if let Some(options) = options {
            for option in set(of, options)? {
                self.put(before)?;
                before = ", ";
                self.put(&option.text("(", ")")?)?;
                self.put(" = ")?;
                self.value(of, &option)?;
            }
        }
        if before == ", " { self.put("]") } else { Ok(()) }
    }

    /// Decoding bounds how deep messages lie in each other.
    fn value(&mut self, of: &str, option: &Set<'_>) -> Result<(), PrintError> {
        let Value::Message(message) = option.value else {
            return self.put(&literal(of, &option.kind, option.value)?);
        };
        self.put("{ ")?;
        for inner in set(of, message)? {
            self.put(&inner.text("[", "]")?)?;
            self.put(": ")?;
            self.value(of, &inner)?;
            self.put(" ")?;
        }
        self.put("}")
    }
}

/// What is set, each value of a list for itself.
fn set<'m>(of: &str, options: &'m DynamicMessage) -> Result<Vec<Set<'m>>, PrintError> {
    let unwritable = || PrintError::Options(of.chars().take(200).collect());
    if options.unknown_fields().next().is_some() {
        return Err(unwritable());
    }
    let fields = options.fields().map(|(field, value)| {
        let plain = (!field.is_group()).then(|| field.name().to_owned());
        (plain, None, field.kind(), value)
    });
    let extensions = options.extensions().map(|(extension, value)| {
        let named = (!extension.is_group()).then(|| extension.full_name().to_owned());
        (None, named, extension.kind(), value)
    });
    let mut all = Vec::new();
    for (plain, extension, kind, value) in fields.chain(extensions) {
        let one = |value| Set {
            plain: plain.clone(),
            extension: extension.clone(),
            kind: kind.clone(),
            value,
        };
        match value {
            Value::Map(_) => return Err(unwritable()),
            Value::List(values) => all.extend(values.iter().map(one)),
            single => all.push(one(single)),
        }
    }
    Ok(all)
}

/// A value that is no message.
pub(super) fn literal(of: &str, kind: &Kind, value: &Value) -> Result<String, PrintError> {
    let unwritable = || PrintError::Options(of.chars().take(200).collect());
    Ok(match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => float(*value),
        Value::F64(value) => float(*value),
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => quoted_bytes(bytes),
        Value::EnumNumber(number) => {
            let known = kind.as_enum().and_then(|kind| kind.get_value(*number));
            name(known.ok_or_else(unwritable)?.name())?.to_owned()
        }
        Value::Message(_) | Value::List(_) | Value::Map(_) => return Err(unwritable()),
    })
}

/// The shortest digits that are read back as the same number.
fn float(value: impl std::fmt::Debug) -> String {
    match format!("{value:?}").as_str() {
        "NaN" => "nan".to_owned(),
        digits => digits.to_owned(),
    }
}
