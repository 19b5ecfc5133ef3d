//! Words in Arabic and English, compared as people type them.
//!
//! Folded away are case, accents and Arabic diacritics, tatweel, and the letter forms that are typed for each other: hamza on its
//! carriers, alif maqsura for ya, ta marbuta for ha, Persian kaf and ya, digits of the other scripts. What is not seen does not count.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest query that is read, in bytes; what is beyond does not count.
pub const QUERY_BYTES_MAX: usize = 1024;

/// A query, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// Reads a query: words with spaces or punctuation between them.
    pub fn new(text: &str) -> Query {
        let mut end = text.len().min(QUERY_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let folded = fold(text.get(..end).unwrap_or_default());
        Query {
            words: folded.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Whether each word stands in one of the texts, whole or in part. A query without words finds everything.
    pub fn finds(&self, texts: &[&str]) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        let stands = |word: &String| folded.iter().any(|text| text.contains(word.as_str()));
        self.words.iter().all(stands)
    }
}

/// The form in which texts are compared.
pub fn fold(text: &str) -> String {
    // Compatibility forms first: presentation forms of Arabic letters become the letters.
    let letters = text.nfkd().filter(|letter| !is_combining_mark(*letter));
    letters.filter_map(letter).flat_map(char::to_lowercase).collect()
}

fn letter(letter: char) -> Option<char> {
    Some(match letter {
        // Tatweel, and what is not seen.
        '\u{640}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{61c}'
        | '\u{feff}' => {
            return None;
        }
        // Hamza and madda above or below are marks of their own by now; what is left is alif wasla and its kin.
        '\u{671}'..='\u{673}' | '\u{675}' => 'ا',
        'ى' | '\u{6cc}' | '\u{6d2}' | '\u{6d0}' => 'ي',
        'ة' | '\u{6c1}' | '\u{6be}' | '\u{6d5}' => 'ه',
        '\u{6a9}' | '\u{6aa}' => 'ك',
        '\u{660}'..='\u{669}' => digit(letter, '\u{660}'),
        '\u{6f0}'..='\u{6f9}' => digit(letter, '\u{6f0}'),
        // Names of services are found by their parts.
        _ if letter.is_alphanumeric() || matches!(letter, '.' | '_' | '/' | '-' | '@' | '+') => letter,
        _ => ' ',
    })
}

fn digit(digit: char, zero: char) -> char {
    char::from_digit(u32::from(digit).wrapping_sub(u32::from(zero)), 10).unwrap_or(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arabic_is_found_however_it_is_typed() {
        let pairs = [
            ("أذون الإقامة", "اذون الاقامه"),
            ("أُذونُ الإِقامَة", "أذون"),
            ("إقامــــة", "اقامة"),
            ("مستشفى", "مستشفي"),
            ("الجمارك", "الجمارک"),
            ("مسؤول", "مسوول"),
            ("سنة ٢٠٢٦", "2026"),
            ("ﺇﻗﺎﻣﺔ", "إقامة"),
            ("آخر", "اخر"),
        ];
        for (text, query) in pairs {
            assert!(Query::new(query).finds(&[text]), "{query} in {text}");
            assert!(Query::new(text).finds(&[text]), "{text}");
        }
    }

    #[test]
    fn english_is_found_in_any_case_and_by_parts_of_names() {
        let texts = [
            "jo.residency.v1.ResidencePermits",
            "Residence permits",
            "JO/GOV/psd/foreigners",
        ];
        for query in [
            "RESIDENCE",
            "residencepermits",
            "permits psd",
            "jo.residency",
            "Résidence",
            "  ",
            "resi  (perm)",
        ] {
            assert!(Query::new(query).finds(&texts), "{query}");
        }
        for query in ["labour", "permits labour", "residenceX"] {
            assert!(!Query::new(query).finds(&texts), "{query}");
        }
    }

    #[test]
    fn what_is_not_seen_does_not_hide_a_word() {
        assert!(Query::new("per\u{200b}mits").finds(&["Per\u{202e}mits"]));
    }

    #[test]
    fn a_query_ends_somewhere() {
        let long = "ق".repeat(QUERY_BYTES_MAX);
        assert_eq!(Query::new(&long).words.concat().len(), QUERY_BYTES_MAX);
    }
}
