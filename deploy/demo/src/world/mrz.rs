//! Machine-readable zones of passports (ICAO Doc 9303 part 4, TD3) and their check digits (part 3, 4.9).

use time::Date;

use super::person::Known;

/// Length of each of the two lines.
const WIDTH: usize = 44;

/// What goes into a zone.
pub(super) struct Zone<'a> {
    /// Issuing state, three letters.
    pub(super) issuing_state: &'a str,
    /// Holder's nationality, three letters.
    pub(super) nationality: &'a str,
    /// Family name in Latin letters.
    pub(super) family: &'a str,
    /// Other names in Latin letters.
    pub(super) given: &'a str,
    /// Number of the document, at most nine letters and digits.
    pub(super) number: &'a str,
    /// Date of birth and how much of it is known.
    pub(super) born: (Date, Known),
    /// `M` or `F`.
    pub(super) sex: char,
    /// Last day of validity.
    pub(super) valid_until: Date,
}

impl Zone<'_> {
    /// The two lines of 44 characters.
    pub(super) fn lines(&self) -> [String; 2] {
        let names = format!(
            "P<{}{}<<{}",
            self.issuing_state,
            letters(self.family),
            letters(self.given)
        );
        let number = with_check(&format!("{:<<9}", self.number));
        let (born, known) = self.born;
        let born = with_check(&two_digits(born, known));
        let valid_until = with_check(&two_digits(self.valid_until, Known::Day));
        // The optional field is empty; its check digit may then be a filler too.
        let optional = "<".repeat(15);
        let checked = format!("{number}{born}{valid_until}{optional}");
        let second = format!(
            "{number}{}{born}{}{valid_until}{optional}{}",
            self.nationality,
            self.sex,
            check_digit(&checked)
        );
        [filled(&names), second]
    }
}

/// The check digit of a field: weights 7, 3, 1; digits count as they are, letters from 10, the filler 0.
pub fn check_digit(field: &str) -> char {
    let sum: u32 = field
        .chars()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(c, weight)| weight * c.to_digit(36).unwrap_or(0))
        .sum();
    char::from_digit(sum % 10, 10).expect("below 10")
}

fn with_check(field: &str) -> String {
    format!("{field}{}", check_digit(field))
}

/// `YYMMDD`, with fillers for what is not known.
fn two_digits(day: Date, known: Known) -> String {
    let year = day.year().rem_euclid(100);
    let month = u8::from(day.month());
    match known {
        Known::Day => format!("{year:02}{month:02}{:02}", day.day()),
        Known::Month => format!("{year:02}{month:02}<<"),
        Known::Year => format!("{year:02}<<<<"),
    }
}

/// Capital letters; spaces and hyphens become fillers, apostrophes vanish.
fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '\'')
        .map(|c| {
            if c.is_ascii_alphabetic() {
                c.to_ascii_uppercase()
            } else {
                '<'
            }
        })
        .collect()
}

/// Cut or filled to the width of a line.
fn filled(line: &str) -> String {
    let cut: String = line.chars().take(WIDTH).collect();
    format!("{cut:<<WIDTH$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn the_specimen_of_doc_9303_comes_out_except_for_its_optional_field() {
        assert_eq!(check_digit("L898902C3"), '6');
        assert_eq!(check_digit("740812"), '2');
        assert_eq!(check_digit("120415"), '9');
        assert_eq!(check_digit("ZE184226B<<<<<"), '1');
        assert_eq!(check_digit("L898902C3674081221204159ZE184226B<<<<<1"), '0');
        let lines = Zone {
            issuing_state: "UTO",
            nationality: "UTO",
            family: "Eriksson",
            given: "Anna Maria",
            number: "L898902C3",
            born: (date!(1974 - 08 - 12), Known::Day),
            sex: 'F',
            valid_until: date!(2012 - 04 - 15),
        }
        .lines();
        assert_eq!(lines[0], "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<");
        assert!(
            lines[1].starts_with("L898902C36UTO7408122F1204159<<<<<<<<<<<<<<<"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[1].len(), WIDTH);
    }

    #[test]
    fn long_names_are_cut_and_unknown_days_filled() {
        let lines = Zone {
            issuing_state: "LKA",
            nationality: "LKA",
            family: "Wickramasinghe-Gunawardena d'Silva",
            given: "Thilakaratne Bandara Chaminda",
            number: "N12",
            born: (date!(1981 - 01 - 01), Known::Year),
            sex: 'M',
            valid_until: date!(2031 - 04 - 15),
        }
        .lines();
        assert_eq!(lines[0], "P<LKAWICKRAMASINGHE<GUNAWARDENA<DSILVA<<THIL");
        assert!(lines[1].starts_with("N12<<<<<<"), "{}", lines[1]);
        assert!(lines[1].contains("LKA81<<<<"), "{}", lines[1]);
        assert_eq!((lines[0].len(), lines[1].len()), (WIDTH, WIDTH));
    }
}
