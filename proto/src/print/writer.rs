//! Lines, indented, up to a length.

use std::fmt::Write as _;

use super::{PrintError, TEXT_BYTES_MAX};

/// Text that is being written.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    /// Adds to the line at hand.
    pub(super) fn put(&mut self, text: &str) -> Result<(), PrintError> {
        if self.text.len() + text.len() > TEXT_BYTES_MAX {
            return Err(PrintError::TooLong);
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Begins a line.
    pub(super) fn begin(&mut self) -> Result<(), PrintError> {
        (0..self.depth).try_for_each(|_| self.put("  "))
    }

    /// A whole line.
    pub(super) fn line(&mut self, parts: &[&str]) -> Result<(), PrintError> {
        self.begin()?;
        parts.iter().try_for_each(|part| self.put(part))?;
        self.put("\n")
    }

    /// An empty line.
    pub(super) fn blank(&mut self) -> Result<(), PrintError> {
        self.put("\n")
    }

    /// Opens a block.
    pub(super) fn open(&mut self, parts: &[&str]) -> Result<(), PrintError> {
        self.begin()?;
        parts.iter().try_for_each(|part| self.put(part))?;
        self.block()
    }

    /// Opens a block behind what stands on the line.
    pub(super) fn block(&mut self) -> Result<(), PrintError> {
        self.depth += 1;
        self.put(" {\n")
    }

    /// Closes a block.
    pub(super) fn close(&mut self) -> Result<(), PrintError> {
        self.depth = self.depth.saturating_sub(1);
        self.line(&["}"])
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A name of one part.
pub(super) fn name(text: &str) -> Result<&str, PrintError> {
    let is_first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let is_name = text.starts_with(is_first) && text.chars().all(|letter| is_first(letter) || letter.is_ascii_digit());
    if is_name {
        Ok(text)
    } else {
        Err(PrintError::Name(text.escape_default().take(200).collect()))
    }
}

/// A name of parts with dots between them.
pub(super) fn full_name(text: &str) -> Result<&str, PrintError> {
    text.split('.').try_for_each(|part| name(part).map(|_| ()))?;
    Ok(text)
}

/// A string literal. What is not plainly visible is written as octal bytes, which every compiler reads.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            '\n' => literal.push_str("\\n"),
            _ if is_hidden(letter) => octal(&mut literal, letter.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => literal.push(letter),
        }
    }
    literal.push('"');
    literal
}

/// A literal of bytes.
pub(super) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut literal = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => literal.push(char::from(*byte)),
            _ => octal(&mut literal, &[*byte]),
        }
    }
    literal.push('"');
    literal
}

fn octal(literal: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _infallible = write!(literal, "\\{byte:03o}");
    }
}

/// Control characters, and marks that turn the direction of writing or are not seen.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
