//! The six agencies of the demo network.

use std::fmt;
use std::str::FromStr;

use crate::contracts::{self, Contract};

/// Everyone who takes part, in the order in which they are started.
pub const ALL: [Agency; 6] = [
    Agency::Mol,
    Agency::Psd,
    Agency::Moh,
    Agency::Ssc,
    Agency::Ccd,
    Agency::Gid,
];

/// An agency with a node and a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Agency {
    /// Ministry of Labour.
    Mol,
    /// Public Security Directorate.
    Psd,
    /// Ministry of Health.
    Moh,
    /// Social Security Corporation.
    Ssc,
    /// Companies Control Department.
    Ccd,
    /// General Intelligence Directorate.
    Gid,
}

/// A code that none of the six agencies has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no agency of the demo network has the code {0:?}: use mol, psd, moh, ssc, ccd or gid")]
pub struct UnknownAgency(String);

impl Agency {
    /// The member's code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Mol => "mol",
            Self::Psd => "psd",
            Self::Moh => "moh",
            Self::Ssc => "ssc",
            Self::Ccd => "ccd",
            Self::Gid => "gid",
        }
    }

    /// Name in Arabic.
    pub fn name_ar(self) -> &'static str {
        match self {
            Self::Mol => "وزارة العمل",
            Self::Psd => "مديرية الأمن العام",
            Self::Moh => "وزارة الصحة",
            Self::Ssc => "المؤسسة العامة للضمان الاجتماعي",
            Self::Ccd => "دائرة مراقبة الشركات",
            Self::Gid => "دائرة المخابرات العامة",
        }
    }

    /// Name in English.
    pub fn name_en(self) -> &'static str {
        match self {
            Self::Mol => "Ministry of Labour",
            Self::Psd => "Public Security Directorate",
            Self::Moh => "Ministry of Health",
            Self::Ssc => "Social Security Corporation",
            Self::Ccd => "Companies Control Department",
            Self::Gid => "General Intelligence Directorate",
        }
    }

    /// Code of the subsystem that asks and answers.
    pub fn subsystem_code(self) -> &'static str {
        match self {
            Self::Mol => "permits",
            Self::Psd => "foreigners",
            Self::Moh => "fitness",
            Self::Ssc => "contributions",
            Self::Ccd => "companies",
            Self::Gid => "clearance",
        }
    }

    /// Member id, for example `JO/GOV/mol`.
    pub fn member(self) -> String {
        format!("JO/GOV/{}", self.code())
    }

    /// Subsystem id, for example `JO/GOV/mol/permits`.
    pub fn subsystem(self) -> String {
        format!("{}/{}", self.member(), self.subsystem_code())
    }

    /// Node id, for example `JO/GOV/mol/node/node1`.
    pub fn node(self) -> String {
        format!("{}/node/node1", self.member())
    }

    /// The services that it publishes.
    pub fn services(self) -> &'static [Contract] {
        match self {
            Self::Mol => const { &[contracts::LABOUR] },
            // The personal number for foreigners is the Directorate's, so here it resolves identities too.
            Self::Psd => const { &[contracts::RESIDENCY, contracts::BORDER, contracts::IDENTITY] },
            Self::Moh => const { &[contracts::HEALTH] },
            Self::Ssc => const { &[contracts::SOCIAL_SECURITY] },
            Self::Ccd => const { &[contracts::BUSINESS] },
            Self::Gid => const { &[contracts::CLEARANCE] },
        }
    }
}

impl fmt::Display for Agency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Agency {
    type Err = UnknownAgency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        ALL.into_iter()
            .find(|agency| agency.code() == code)
            .ok_or_else(|| UnknownAgency(code.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_others_are_refused() {
        for agency in ALL {
            assert_eq!(agency.code().parse::<Agency>().unwrap(), agency);
        }
        for wrong in ["", "MOL", "moi", "mol "] {
            assert!(wrong.parse::<Agency>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_service_has_one_publisher() {
        let mut published: Vec<_> = ALL.iter().flat_map(|a| a.services()).map(|c| c.service).collect();
        published.sort_unstable();
        let mut all: Vec<_> = contracts::ALL.iter().map(|c| c.service).collect();
        all.sort_unstable();
        assert_eq!(published, all);
    }
}
