//! What people type: names in Arabic and English, addresses of both kinds, telephone numbers.

use unicode_normalization::is_nfc;

/// Longest name or title, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// A name or title in Arabic: holds at least one Arabic letter, no control and no bidi control characters.
///
/// # Errors
/// The rule, in words.
pub(crate) fn arabic(text: &str) -> Result<String, String> {
    let text = person(text)?;
    if !text.chars().any(is_arabic) {
        return Err("the Arabic text has no Arabic letter".to_owned());
    }
    Ok(text)
}

/// A name or title in English: holds at least one Latin letter and no Arabic one.
///
/// # Errors
/// The rule, in words.
pub(crate) fn english(text: &str) -> Result<String, String> {
    let text = person(text)?;
    if !text.chars().any(|c| c.is_ascii_alphabetic()) {
        return Err("the English text has no Latin letter".to_owned());
    }
    if text.chars().any(is_arabic) {
        return Err("the English text holds Arabic letters".to_owned());
    }
    Ok(text)
}

/// The name of a person or desk, in any script.
///
/// # Errors
/// The rule, in words.
pub(crate) fn person(text: &str) -> Result<String, String> {
    let text = plain(text)?;
    named(&text)?;
    Ok(text)
}

/// An e-mail address: ASCII, one `@`, a DNS name behind it.
///
/// # Errors
/// The rule, in words.
pub(crate) fn email(text: &str) -> Result<(), String> {
    let local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good = text.split_once('@').is_some_and(|(name, domain)| {
        text.len() <= 254
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| local(c) || c == '+')
            && domain.contains('.')
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            })
    });
    if good {
        return Ok(());
    }
    Err(format!(
        "`{}` is no e-mail address such as jisr@mol.gov.jo",
        text.escape_debug()
    ))
}

/// A telephone number: digits, spaces and hyphens, perhaps a `+` in front.
///
/// # Errors
/// The rule, in words.
pub(crate) fn phone(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let good = (5..=31).contains(&digits.len())
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-');
    if good {
        return Ok(());
    }
    Err(format!(
        "`{}` is no telephone number such as +962 6 500 0000",
        text.escape_debug()
    ))
}

/// A reason or a reference in free text: 1 to 256 bytes under the rules of names.
///
/// # Errors
/// The rule, in words.
pub(crate) fn remark(text: &str) -> Result<String, String> {
    if text.len() > 256 {
        return Err("the text is longer than 256 bytes".to_owned());
    }
    plain(text)
}

/// A longer text, such as a legal basis: 1 to 2048 bytes under the rules of names, but line ends are allowed.
///
/// # Errors
/// The rule, in words.
pub(crate) fn paragraph(text: &str) -> Result<String, String> {
    if text.len() > 2048 {
        return Err("the text is longer than 2048 bytes".to_owned());
    }
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    text.split('\n')
        .filter(|line| !line.trim().is_empty())
        .try_for_each(unmarked)?;
    Ok(text.to_owned())
}

/// The same in Arabic: it holds at least one Arabic letter.
///
/// # Errors
/// The rule, in words.
pub(crate) fn arabic_paragraph(text: &str) -> Result<String, String> {
    let text = paragraph(text)?;
    if !text.chars().any(is_arabic) {
        return Err("the Arabic text has no Arabic letter".to_owned());
    }
    Ok(text)
}

/// `host:port`, the host being a DNS name or an IP address, IPv6 in brackets.
///
/// # Errors
/// The rule, in words.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let shape = || format!("`{}` is not host:port", text.escape_debug());
    let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
    let port: u16 = port.parse().map_err(|_| shape())?;
    if port == 0 || text.len() > 255 {
        return Err(shape());
    }
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = match v6 {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .split('.')
                    .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
    };
    if good { Ok(text.to_owned()) } else { Err(shape()) }
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    if text.trim() != text {
        return Err("the text begins or ends with a space".to_owned());
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("the text is longer than {TEXT_CHARS_MAX} characters"));
    }
    unmarked(text)?;
    Ok(text.to_owned())
}

/// Names end up in tables and on screens: nothing that a spreadsheet takes for a formula, nothing that is not seen.
fn named(text: &str) -> Result<(), String> {
    if let Some(first) = text.chars().next().filter(|c| matches!(c, '=' | '+' | '-' | '@')) {
        return Err(format!(
            "the text begins with `{first}`, which spreadsheets take for a formula"
        ));
    }
    let hidden = |c: &char| matches!(u32::from(*c), 0x00AD | 0x200B..=0x200D | 0x2060..=0x2064 | 0xFEFF);
    match text.chars().find(hidden) {
        Some(c) => Err(format!("the text holds the invisible character U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

fn unmarked(text: &str) -> Result<(), String> {
    if let Some(bad) = text.chars().find(|c| c.is_control() || is_bidi_control(*c)) {
        return Err(format!("the text holds the control character U+{:04X}", u32::from(bad)));
    }
    if !is_nfc(text) {
        return Err("the text is not in Unicode normalization form C".to_owned());
    }
    Ok(())
}

fn is_arabic(c: char) -> bool {
    c.is_alphabetic()
        && matches!(u32::from(c), 0x0600..=0x06FF | 0x0750..=0x077F | 0x08A0..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF)
}

fn is_bidi_control(c: char) -> bool {
    matches!(u32::from(c), 0x061C | 0x200E | 0x200F | 0x202A..=0x202E | 0x2066..=0x2069)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_both_languages() {
        assert_eq!(arabic("وزارة العمل").unwrap(), "وزارة العمل");
        assert_eq!(english("Ministry of Labour").unwrap(), "Ministry of Labour");
        assert!(arabic("Ministry of Labour").is_err());
        assert!(arabic("").is_err());
        assert!(arabic("٣").is_err(), "a digit is no letter");
        assert!(english("وزارة العمل").is_err());
        assert!(english("Ministry of العمل").is_err());
    }

    #[test]
    fn control_characters_are_refused() {
        for bad in ['\u{202E}', '\u{2066}', '\u{200F}', '\u{061C}', '\n', '\u{0}'] {
            assert!(arabic(&format!("وزارة{bad}العمل")).is_err(), "{bad:?}");
            assert!(english(&format!("Min{bad}istry")).is_err(), "{bad:?}");
        }
        assert!(english(" Ministry").is_err());
        assert!(english(&"a".repeat(201)).is_err());
    }

    #[test]
    fn nothing_in_a_name_is_a_formula_or_invisible() {
        for bad in [
            "=1+1",
            "+Ministry",
            "-Ministry",
            "@Ministry",
            "Min\u{200B}istry",
            "\u{FEFF}Ministry",
        ] {
            assert!(english(bad).is_err(), "{bad:?}");
            assert!(person(bad).is_err(), "{bad:?}");
        }
        assert!(arabic("=وزارة").is_err());
        assert_eq!(person("هدى Huda").unwrap(), "هدى Huda");
    }

    #[test]
    fn ways_to_reach_a_person() {
        for good in ["jisr@mol.gov.jo", "a.b+c_d@x-y.example"] {
            assert_eq!(email(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "jisr",
            "@mol.jo",
            "a@b",
            "a@b..jo",
            "=a@b.jo",
            "a b@c.jo",
            "a@b@c.jo",
            "a@-b.jo",
            "هدى@b.jo",
        ] {
            assert!(email(bad).is_err(), "{bad}");
        }
        for good in ["+962 6 500 0000", "06-500-0000"] {
            assert_eq!(phone(good), Ok(()), "{good}");
        }
        for bad in ["", "+", "12", "+=1+1", "-12345", "+962 6 CALL", &"1".repeat(32)] {
            assert!(phone(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:9000", "node1.mol.jo:443", "[::1]:7000", "localhost:1"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "host",
            "host:0",
            "host:70000",
            ":80",
            "ho st:80",
            "[::1:80",
            "a..b:80",
            "host:80/x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
