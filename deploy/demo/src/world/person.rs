//! The people themselves: what is true of a person whichever agency is asked.

use time::{Date, Duration};

use super::World;
use super::mrz::{Zone, check_digit};
use super::names::{Name, Naming, Script};
use super::stream::{Stream, Topic, scatter};

/// Sex, as far as this world goes; ISO/IEC 5218 has more codes than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// Male.
    Male,
    /// Female.
    Female,
}

impl Sex {
    /// Code of ISO/IEC 5218.
    pub fn code(self) -> u8 {
        match self {
            Self::Male => 1,
            Self::Female => 2,
        }
    }
}

/// How much of a date of birth is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The day.
    Day,
    /// Month and year.
    Month,
    /// The year only.
    Year,
}

/// Why a person is in the Kingdom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To work.
    Work,
    /// With the family.
    Family,
    /// To study.
    Study,
    /// Under international protection; about half of them work.
    Protection,
}

/// A passport or a convention travel document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Issuing state, ISO 3166-1 alpha-3.
    pub issuing_state: &'static str,
    /// Number: a letter and seven or eight digits.
    pub number: String,
    /// Last day of validity.
    pub valid_until: Date,
    /// The two lines of the machine-readable zone (ICAO Doc 9303 part 4).
    pub mrz: [String; 2],
}

impl Document {
    /// Issuing state and number, as registers name a document: `EGY/A12345678`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.issuing_state, self.number)
    }
}

/// A foreigner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Place in the world, from 0.
    pub index: u32,
    /// Personal number for foreigners: ten digits in a layout of this demo's own. The real one is not public.
    pub number: String,
    /// Name in Arabic, then in Latin script.
    pub names: [Name; 2],
    /// Sex.
    pub sex: Sex,
    /// Day of birth; where less is known, the rest of the day is 1.
    pub born: Date,
    /// How much of it is known.
    pub born_known: Known,
    /// ISO 3166-1 alpha-3, or XXA (stateless), XXB (refugee) of ICAO Doc 9303.
    pub nationality: &'static str,
    /// The travel document.
    pub document: Document,
    /// Why the person came.
    pub purpose: Purpose,
    /// Day of the first entry.
    pub arrived: Date,
}

/// Shares of a thousand by nationality.
const NATIONALITIES: &[(u32, &str)] = &[
    (365, "EGY"),
    (215, "SYR"),
    (85, "IRQ"),
    (60, "YEM"),
    (40, "SDN"),
    (30, "PSE"),
    (70, "BGD"),
    (25, "PAK"),
    (30, "IND"),
    (30, "LKA"),
    (10, "NPL"),
    (30, "PHL"),
    (6, "XXA"),
    (4, "XXB"),
];

impl World {
    /// The personal number of somebody: a leading 5, eight digits, a check digit.
    pub fn personal_number(&self, index: u32) -> String {
        let body = format!("5{:08}", scatter(self.seed, index, 8));
        let check = check_digit(&body);
        format!("{body}{check}")
    }

    /// The person with an index below [`World::people`].
    pub fn person(&self, index: u32) -> Person {
        let mut random = Stream::new(self.seed, Topic::Person, index);
        let nationality = random.weighted(NATIONALITIES);
        let purpose = draw_purpose(&mut random, nationality);
        let sex = draw_sex(&mut random, nationality, purpose);
        let (born, born_known) = self.draw_birth(&mut random, purpose);
        let names = Naming::of(nationality).draw(&mut random, sex);
        let [_, latin] = &names;
        let document = self.draw_document(&mut random, latin, nationality, sex, (born, born_known), index);
        let arrived = self.today - Duration::days(i64::from(random.between(90, 2_600)));
        Person {
            index,
            number: self.personal_number(index),
            names,
            sex,
            born,
            born_known,
            nationality,
            document,
            purpose,
            arrived,
        }
    }

    fn draw_birth(&self, random: &mut Stream, purpose: Purpose) -> (Date, Known) {
        let (youngest, oldest) = match purpose {
            Purpose::Work => (20, 60),
            Purpose::Family => (1, 70),
            Purpose::Study => (18, 30),
            Purpose::Protection => (18, 65),
        };
        let year = self.today.year() - random.between(youngest, oldest);
        let known = random.weighted(&[(920, Known::Day), (30, Known::Month), (50, Known::Year)]);
        let ordinal = u16::try_from(random.between(1, 365)).expect("1 to 365");
        let day = Date::from_ordinal_date(year, ordinal).expect("every year has 365 days");
        let born = match known {
            Known::Day => day,
            Known::Month => day.replace_day(1).expect("every month has a first"),
            Known::Year => Date::from_ordinal_date(year, 1).expect("every year has a first day"),
        };
        (born, known)
    }

    fn draw_document(
        &self,
        random: &mut Stream,
        latin: &Name,
        nationality: &str,
        sex: Sex,
        born: (Date, Known),
        index: u32,
    ) -> Document {
        // Stateless persons and refugees travel with a document of the state that received them.
        let issuing_state = NATIONALITIES
            .iter()
            .map(|(_, code)| *code)
            .find(|code| *code == nationality && !code.starts_with('X'))
            .unwrap_or("JOR");
        let letter = *random.pick(&['A', 'B', 'C', 'N', 'P']);
        let number = format!("{letter}{:08}", scatter(self.seed.rotate_left(17), index, 8));
        let valid_until = self.today + Duration::days(i64::from(random.between(-60, 2_900)));
        let zone = Zone {
            issuing_state,
            nationality,
            family: latin.family,
            given: &latin.before_family(),
            number: &number,
            born,
            sex: if sex == Sex::Male { 'M' } else { 'F' },
            valid_until,
        };
        Document {
            issuing_state,
            mrz: zone.lines(),
            number,
            valid_until,
        }
    }
}

impl Person {
    /// The name in Arabic.
    pub fn arabic(&self) -> &Name {
        let [arabic, _] = &self.names;
        debug_assert_eq!(arabic.script, Script::Arab);
        arabic
    }
}

fn draw_purpose(random: &mut Stream, nationality: &str) -> Purpose {
    let shares: &[(u32, Purpose)] = match nationality {
        "SYR" => &[
            (25, Purpose::Work),
            (25, Purpose::Family),
            (5, Purpose::Study),
            (45, Purpose::Protection),
        ],
        "XXA" | "XXB" => &[(100, Purpose::Protection)],
        "BGD" | "PAK" | "IND" | "LKA" | "NPL" | "PHL" => &[(95, Purpose::Work), (5, Purpose::Family)],
        "IRQ" | "YEM" | "SDN" => &[
            (35, Purpose::Work),
            (30, Purpose::Family),
            (20, Purpose::Study),
            (15, Purpose::Protection),
        ],
        _ => &[(75, Purpose::Work), (20, Purpose::Family), (5, Purpose::Study)],
    };
    random.weighted(shares)
}

fn draw_sex(random: &mut Stream, nationality: &str, purpose: Purpose) -> Sex {
    let women = match (nationality, purpose) {
        ("PHL" | "LKA", _) => 750,
        ("BGD", _) => 550,
        (_, Purpose::Family) => 650,
        (_, Purpose::Work) => 80,
        _ => 480,
    };
    if random.permille(women) { Sex::Female } else { Sex::Male }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::sample;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_makes_the_same_people_and_another_seed_others() {
        let world = sample();
        let other = World { seed: 8, ..world };
        for index in [0, 17, 1_999] {
            assert_eq!(world.person(index), world.person(index));
            assert_ne!(world.person(index), other.person(index));
        }
    }

    #[test]
    fn numbers_and_documents_belong_to_one_person() {
        let world = sample();
        let people: Vec<_> = world.everyone().map(|i| world.person(i)).collect();
        let numbers: HashSet<_> = people.iter().map(|p| &p.number).collect();
        let documents: HashSet<_> = people
            .iter()
            .map(|p| (p.document.issuing_state, &p.document.number))
            .collect();
        assert_eq!((numbers.len(), documents.len()), (people.len(), people.len()));
    }

    #[test]
    fn every_check_digit_is_right() {
        let world = sample();
        for person in world.everyone().map(|i| world.person(i)) {
            let (body, check) = person.number.split_at(9);
            assert_eq!(check, check_digit(body).to_string());
            let [first, second] = &person.document.mrz;
            assert_eq!((first.len(), second.len()), (44, 44), "{first} {second}");
            for (field, at) in [(0..9, 9), (13..19, 19), (21..27, 27)] {
                assert_eq!(second[at..=at], check_digit(&second[field]).to_string(), "{second}");
            }
            let composite = format!("{}{}{}", &second[0..10], &second[13..20], &second[21..43]);
            assert_eq!(second[43..], check_digit(&composite).to_string(), "{second}");
        }
    }

    #[test]
    fn arabic_names_have_four_parts() {
        let world = sample();
        let egyptian = world
            .everyone()
            .map(|i| world.person(i))
            .find(|p| p.nationality == "EGY")
            .unwrap();
        assert!(!egyptian.arabic().father.is_empty() && !egyptian.arabic().grandfather.is_empty());
        assert!(egyptian.arabic().full().split(' ').count() >= 4);
    }
}
