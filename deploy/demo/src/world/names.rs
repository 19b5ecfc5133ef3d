//! Names of people, each in Arabic and in Latin script.

mod arab;
mod asian;

use super::person::Sex;
use super::stream::Stream;

/// A script in which a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Arabic.
    Arab,
    /// Latin.
    Latn,
}

impl Script {
    /// Code of ISO 15924.
    pub fn code(self) -> &'static str {
        match self {
            Self::Arab => "Arab",
            Self::Latn => "Latn",
        }
    }
}

/// One word in both scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    arabic: &'static str,
    latin: &'static str,
}

const fn w(arabic: &'static str, latin: &'static str) -> Word {
    Word { arabic, latin }
}

impl Word {
    fn in_script(self, script: Script) -> &'static str {
        match script {
            Script::Arab => self.arabic,
            Script::Latn => self.latin,
        }
    }
}

/// A person's name in one script. Father and grandfather are empty where they are no part of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The script.
    pub script: Script,
    /// Given names.
    pub given: Vec<&'static str>,
    /// Father's name.
    pub father: &'static str,
    /// Grandfather's name.
    pub grandfather: &'static str,
    /// Family's name.
    pub family: &'static str,
}

impl Name {
    /// The whole name in its usual order.
    pub fn full(&self) -> String {
        let parts = self.given.iter().chain([&self.father, &self.grandfather, &self.family]);
        parts
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Everything before the family's name.
    pub(super) fn before_family(&self) -> String {
        let parts = self.given.iter().chain([&self.father, &self.grandfather]);
        parts
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// How a people forms its names, and from which words.
pub(super) struct Naming {
    male: &'static [Word],
    female: &'static [Word],
    families: &'static [Word],
    form: Form,
}

/// Which parts a name has.
enum Form {
    /// Given, father, grandfather, family.
    FourPart,
    /// One or two given names and a family's.
    GivenAndFamily,
}

impl Naming {
    /// How names are formed among people of this nationality.
    pub(super) fn of(nationality: &str) -> &'static Self {
        match nationality {
            "EGY" => &arab::EGYPTIAN,
            "IRQ" => &arab::IRAQI,
            "YEM" => &arab::YEMENI,
            "SDN" => &arab::SUDANESE,
            "BGD" | "PAK" => &asian::BENGALI_AND_PAKISTANI,
            "IND" | "LKA" | "NPL" => &asian::INDIAN_AND_SRI_LANKAN,
            "PHL" => &asian::FILIPINO,
            // Syrians, Palestinians, stateless persons and refugees.
            _ => &arab::LEVANTINE,
        }
    }

    /// A name in Arabic and the same in Latin script.
    pub(super) fn draw(&self, random: &mut Stream, sex: Sex) -> [Name; 2] {
        let first = match sex {
            Sex::Male => self.male,
            Sex::Female => self.female,
        };
        let mut given = vec![*random.pick(first)];
        let family = *random.pick(self.families);
        let ancestors = match self.form {
            Form::FourPart => Some((*random.pick(self.male), *random.pick(self.male))),
            Form::GivenAndFamily => {
                if random.permille(550) {
                    given.push(*random.pick(first));
                    given.dedup();
                }
                None
            }
        };
        [Script::Arab, Script::Latn].map(|script| Name {
            script,
            given: given.iter().map(|word| word.in_script(script)).collect(),
            father: ancestors.map_or("", |(father, _)| father.in_script(script)),
            grandfather: ancestors.map_or("", |(_, grandfather)| grandfather.in_script(script)),
            family: family.in_script(script),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stands_in_its_script() {
        let all = [
            &arab::EGYPTIAN,
            &arab::IRAQI,
            &arab::YEMENI,
            &arab::SUDANESE,
            &arab::LEVANTINE,
            &asian::BENGALI_AND_PAKISTANI,
            &asian::INDIAN_AND_SRI_LANKAN,
            &asian::FILIPINO,
        ];
        for word in all.iter().flat_map(|n| [n.male, n.female, n.families]).flatten() {
            assert!(
                word.arabic
                    .chars()
                    .all(|c| c == ' ' || ('\u{621}'..='\u{64a}').contains(&c)),
                "{word:?}"
            );
            assert!(
                word.latin.chars().all(|c| c.is_ascii_alphabetic() || " -'".contains(c)),
                "{word:?}"
            );
            assert!(!word.arabic.is_empty() && !word.latin.is_empty());
        }
    }
}
