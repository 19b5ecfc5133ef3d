//! What the texts of parts 2 to 6 may hold.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Longest text, bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256;

/// Checks a text against the rules of docs/formats.md: 1 to 256 bytes, UTF-8, NFC, no control characters, no characters
/// that change the direction of writing.
///
/// # Errors
/// The rule that it breaks.
pub fn check_text(content: &[u8]) -> Result<&str, &'static str> {
    if content.len() > TEXT_BYTES_MAX {
        return Err("it is longer than 256 bytes");
    }
    check_text_up_to(content, TEXT_BYTES_MAX)
}

/// The same rules for a text of another length.
pub(super) fn check_text_up_to(content: &[u8], bytes_max: usize) -> Result<&str, &'static str> {
    if content.is_empty() || content.len() > bytes_max {
        return Err("it is empty or too long");
    }
    let text = str::from_utf8(content).map_err(|_| "it is not UTF-8")?;
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Ok(text);
    }
    if text.chars().any(char::is_control) {
        return Err("it holds control characters");
    }
    if text.chars().any(turns_direction) {
        return Err("it holds characters that change the direction of writing");
    }
    let normalized = match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => true,
        IsNormalized::No => false,
        IsNormalized::Maybe => text.chars().eq(text.nfc()),
    };
    if normalized {
        Ok(text)
    } else {
        Err("it is not in Unicode normalization form C")
    }
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arabic_and_ascii_pass() {
        for text in ["work-permit-renewal", "قضية رقم ١٢/٢٠٢٦", "é", &"x".repeat(256)] {
            assert_eq!(check_text(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn what_deceives_is_refused() {
        let long = "x".repeat(257);
        for text in [
            "",
            &long,
            "a\nb",
            "a\u{7f}",
            "\u{85}",
            "a\u{202e}b",
            "\u{200f}",
            "\u{2066}",
            "\u{61c}",
            "e\u{301}",
        ] {
            assert!(check_text(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(check_text(&[0xff]).is_err());
    }
}
