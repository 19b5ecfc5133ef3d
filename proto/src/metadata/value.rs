//! Values of `jisr-` metadata, which are also the contents of the statement parts PURPOSE to DUTY.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Longest value, in bytes of UTF-8.
pub const VALUE_BYTES_MAX: usize = 256;

/// What is percent-encoded besides everything that is not ASCII. Spaces are, since HTTP drops them at both ends.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// A text of 1 to 256 bytes in Unicode normal form C, without control characters (category Cc) and without the
/// characters that change the direction of text: two values that look alike to an officer are alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(String);

impl Value {
    /// Decodes a header value: percent-encoded UTF-8 (RFC 3986, section 2.1; gRPC encodes `grpc-message` the same way),
    /// brought to normal form C.
    ///
    /// # Errors
    /// The rule that the value breaks.
    pub fn decode(raw: &[u8]) -> Result<Value, ValueError> {
        if !raw.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(ValueError::NotAscii);
        }
        // Ends the work early; three bytes of a header make at least one of the value.
        if raw.len() > 3 * VALUE_BYTES_MAX {
            return Err(ValueError::length(&percent_decode(raw).decode_utf8_lossy()));
        }
        let escapes_stand = |rest: &[u8]| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
        if !raw.split(|byte| *byte == b'%').skip(1).all(escapes_stand) {
            return Err(ValueError::Escape);
        }
        let text = percent_decode(raw).decode_utf8().map_err(|_| ValueError::Utf8)?;
        if text.len() > VALUE_BYTES_MAX {
            return Err(ValueError::length(&text));
        }
        let text = if is_nfc(&text) {
            text
        } else {
            Cow::Owned(text.nfc().collect())
        };
        text.parse()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Value {
    type Err = ValueError;

    /// Takes a text that already has the form: nothing is changed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > VALUE_BYTES_MAX {
            return Err(ValueError::length(text));
        }
        if text
            .chars()
            .any(|letter| letter.is_control() || turns_direction(letter))
        {
            return Err(ValueError::Character);
        }
        if is_nfc(text) {
            Ok(Value(text.to_owned()))
        } else {
            Err(ValueError::NotNormal)
        }
    }
}

impl Deref for Value {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Arabic letter mark, left-to-right and right-to-left marks, embeddings, overrides and isolates.
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Encodes a text for a header, as [`Value::decode`] reads it.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Why a text is not a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A byte that cannot stand in a header as it is.
    #[error("it holds bytes outside printable ASCII; percent-encode its UTF-8")]
    NotAscii,
    /// `%` without two hexadecimal digits.
    #[error("a % is not followed by two hexadecimal digits; write % itself as %25")]
    Escape,
    /// Not UTF-8.
    #[error("it is not UTF-8 once decoded")]
    Utf8,
    /// Empty, or too long.
    #[error(
        "it has {bytes} bytes in {characters} characters once decoded; 1 to 256 bytes of UTF-8 are possible, of which a Latin letter takes one and \
         an Arabic letter two"
    )]
    Length {
        /// Bytes of UTF-8.
        bytes: usize,
        /// Unicode scalar values.
        characters: usize,
    },
    /// A control or direction character.
    #[error("it holds a control character or one that changes the direction of text; leave those out")]
    Character,
    /// Not normalised, where nothing is normalised any more.
    #[error("it is not in Unicode normal form C")]
    NotNormal,
}

impl ValueError {
    fn length(text: &str) -> Self {
        Self::Length {
            bytes: text.len(),
            characters: text.chars().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(raw: &str) -> Result<String, ValueError> {
        Value::decode(raw.as_bytes()).map(|value| value.to_string())
    }

    #[test]
    fn arabic_and_plain_text_come_through() {
        assert_eq!(decoded(&encode("قضية ١٧/٢٠٢٦")).as_deref(), Ok("قضية ١٧/٢٠٢٦"));
        assert_eq!(decoded("work-permit-renewal").as_deref(), Ok("work-permit-renewal"));
        assert_eq!(decoded("100%25 of a b").as_deref(), Ok("100% of a b"));
        assert_eq!(encode(" a%ش"), "%20a%25%D8%B4");
    }

    #[test]
    fn decomposed_letters_are_composed() {
        // alef and hamza above, apart; alef with hamza above, as one
        assert_eq!(decoded("%D8%A7%D9%94").as_deref(), Ok("\u{0623}"));
        assert_eq!("\u{0627}\u{0654}".parse::<Value>(), Err(ValueError::NotNormal));
    }

    #[test]
    fn hostile_values_are_refused() {
        let long = "a".repeat(257);
        for (raw, why) in [
            ("", ValueError::length("")),
            (long.as_str(), ValueError::length(&long)),
            ("%", ValueError::Escape),
            ("%2", ValueError::Escape),
            ("%zz", ValueError::Escape),
            ("%%41", ValueError::Escape),
            ("%ff", ValueError::Utf8),
            ("%c0%af", ValueError::Utf8),
            ("%ed%a0%80", ValueError::Utf8),
            ("a%00", ValueError::Character),
            ("a%0Ab", ValueError::Character),
            ("%C2%85", ValueError::Character),
            ("قضية", ValueError::NotAscii),
            ("a\tb", ValueError::NotAscii),
        ] {
            assert_eq!(decoded(raw), Err(why), "{raw}");
        }
        for turn in [
            "\u{061c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}",
        ] {
            assert_eq!(decoded(&encode(&format!("a{turn}b"))), Err(ValueError::Character));
        }
        assert!(decoded(&"%D8%B4".repeat(128)).is_ok());
        for letters in [129, 10_000] {
            let long = decoded(&"%D8%B4".repeat(letters)).unwrap_err();
            let counted = ValueError::Length {
                bytes: 2 * letters,
                characters: letters,
            };
            assert_eq!(long, counted);
        }
        let told = decoded(&"%D8%B4".repeat(129)).unwrap_err().to_string();
        assert!(told.contains("258 bytes in 129 characters"), "{told}");
    }

    proptest! {
        #[test]
        fn any_header_is_decoded_or_refused(raw in prop::collection::vec(any::<u8>(), 0..900)) {
            if let Ok(value) = Value::decode(&raw) {
                prop_assert_eq!(Value::decode(encode(&value).as_bytes()), Ok(value));
            }
        }

        #[test]
        fn a_value_comes_back_from_its_header(text in "\\PC{1,60}") {
            if let Ok(value) = text.parse::<Value>() {
                prop_assert_eq!(Value::decode(encode(&text).as_bytes()), Ok(value));
            }
        }
    }
}
