//! The persons a register knows: how a request names one, and how the register finds him.

use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};

use crate::jo::common::v1::{PersonName, PersonRef, person_ref::Reference};
use crate::world::{Known, Name, Person};

use super::refusal::Refusal;

const TABLES: &str = "
    CREATE TABLE person (
        id INTEGER PRIMARY KEY,
        number TEXT NOT NULL,
        document TEXT NOT NULL,
        nationality TEXT NOT NULL,
        sex INTEGER NOT NULL,
        born_year INTEGER NOT NULL,
        born_month INTEGER NOT NULL,
        born_day INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE name (
        person INTEGER NOT NULL,
        script TEXT NOT NULL,
        given TEXT NOT NULL,
        father TEXT NOT NULL,
        grandfather TEXT NOT NULL,
        family TEXT NOT NULL,
        PRIMARY KEY (person, script)
    ) STRICT, WITHOUT ROWID;";

/// Made when all rows are in, which is faster than keeping them up to date.
pub(super) const INDEXES: &str = "
    CREATE UNIQUE INDEX person_number ON person (number);
    CREATE UNIQUE INDEX person_document ON person (document);
    CREATE INDEX person_born ON person (born_year, nationality);";

/// Stands between the given names of one person; no name holds it.
const GIVEN_SEPARATOR: char = '|';

/// Longest identifier that is looked at, in characters.
const IDENTIFIER_MAX: usize = 32;

/// Writes persons, with or without their names.
pub(super) struct Writer<'a> {
    person: Statement<'a>,
    name: Statement<'a>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        transaction.execute_batch(TABLES)?;
        Ok(Self {
            person: transaction.prepare("INSERT INTO person VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?,
            name: transaction.prepare("INSERT INTO name VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
        })
    }

    /// Identifiers and what tells persons apart, without the name.
    pub(super) fn person(&mut self, person: &Person) -> rusqlite::Result<()> {
        let (month, day) = match person.born_known {
            Known::Day => (u8::from(person.born.month()), person.born.day()),
            Known::Month => (u8::from(person.born.month()), 0),
            Known::Year => (0, 0),
        };
        self.person.execute(params![
            person.index,
            person.number,
            person.document.id(),
            person.nationality,
            person.sex.code(),
            person.born.year(),
            month,
            day,
        ])?;
        Ok(())
    }

    /// The names in both scripts.
    pub(super) fn names(&mut self, person: &Person) -> rusqlite::Result<()> {
        for Name {
            script,
            given,
            father,
            grandfather,
            family,
        } in &person.names
        {
            let given = given.join(&GIVEN_SEPARATOR.to_string());
            self.name
                .execute(params![person.index, script.code(), given, father, grandfather, family])?;
        }
        Ok(())
    }
}

/// Finds the person a request is about; the row's id.
pub(super) fn find(connection: &Connection, person: Option<&PersonRef>) -> Result<i64, Refusal> {
    let reference = person.and_then(|p| p.reference.as_ref());
    let row = match reference.ok_or(Refusal::Field("person", "is missing"))? {
        Reference::PersonalNumber(number) => {
            let number = identifier("person.personal_number", number)?;
            connection.query_row("SELECT id FROM person WHERE number = ?1", [number], |row| row.get(0))
        }
        Reference::TravelDocument(document) => {
            let id = document_id(&document.id)?;
            connection.query_row("SELECT id FROM person WHERE document = ?1", [id], |row| row.get(0))
        }
        Reference::SectorPseudonym(_) => return Err(Refusal::NoPseudonyms),
    };
    row.optional()?.ok_or(Refusal::PersonUnknown)
}

/// An identifier as it is stored: Latin digits and capital letters. Arabic-Indic digits are accepted, everything else refused.
pub(super) fn identifier(field: &'static str, text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::Field(field, "is missing"));
    }
    if text.chars().count() > IDENTIFIER_MAX {
        return Err(Refusal::Field(field, "is longer than 32 characters"));
    }
    text.chars()
        .map(latin)
        .collect::<Option<String>>()
        .ok_or(Refusal::Field(field, "holds more than letters and digits"))
}

/// Issuing state and number of a travel document, as they are stored.
fn document_id(id: &str) -> Result<String, Refusal> {
    const FIELD: &str = "person.travel_document.id";
    let (state, number) = id
        .split_once('/')
        .ok_or(Refusal::Field(FIELD, "is not like EGY/A12345678"))?;
    Ok(format!("{}/{}", identifier(FIELD, state)?, identifier(FIELD, number)?))
}

fn latin(c: char) -> Option<char> {
    let arabic_indic = u32::from(c).checked_sub(0x0660).filter(|digit| *digit < 10);
    let eastern = u32::from(c).checked_sub(0x06f0).filter(|digit| *digit < 10);
    match arabic_indic.or(eastern) {
        Some(digit) => char::from_digit(digit, 10),
        None => c.is_ascii_alphanumeric().then(|| c.to_ascii_uppercase()),
    }
}

/// The names of a person, Arabic first.
pub(super) fn names(connection: &Connection, person: i64) -> rusqlite::Result<Vec<PersonName>> {
    let mut statement = connection.prepare_cached(
        "SELECT script, given, father, grandfather, family FROM name WHERE person = ?1 ORDER BY script",
    )?;
    let rows = statement.query_map([person], |row| {
        let given: String = row.get(1)?;
        Ok(PersonName {
            script: row.get(0)?,
            given: given.split(GIVEN_SEPARATOR).map(str::to_owned).collect(),
            father: row.get(2)?,
            grandfather: row.get(3)?,
            family: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// The personal number of a row.
pub(super) fn personal_number(connection: &Connection, person: i64) -> rusqlite::Result<String> {
    connection.query_row("SELECT number FROM person WHERE id = ?1", [person], |row| row.get(0))
}

/// A reference by personal number.
pub(super) fn by_number(number: String) -> PersonRef {
    PersonRef {
        reference: Some(Reference::PersonalNumber(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arabic_indic_digits_are_read_and_bidi_controls_refused() {
        assert_eq!(identifier("f", "٥٠١٢٣").unwrap(), "50123");
        assert_eq!(identifier("f", "a۱۲").unwrap(), "A12");
        for wrong in [
            "",
            "5\u{200f}0",
            "\u{202e}123",
            "12 3",
            "'; DROP TABLE person",
            &"1".repeat(33),
        ] {
            assert!(identifier("f", wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(document_id("egy/a١٢").unwrap(), "EGY/A12");
        for wrong in ["EGY", "/1", "EGY/", "EGY/1/2"] {
            assert!(document_id(wrong).is_err(), "{wrong:?}");
        }
    }
}
