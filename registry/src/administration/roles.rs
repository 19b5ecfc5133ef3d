//! What an administrator may do.

use std::fmt;
use std::str::FromStr;

/// A set of roles; the number is that of docs/formats.md, Administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u32);

/// A text that is no list of roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; an administrator has one or more of admit, certify, publish, audit, parted by commas")]
pub struct RoleError(String);

impl Roles {
    /// Members: who belongs to the network.
    pub const ADMIT: Roles = Roles(1);
    /// Certificates: tokens, revocations, administrators, authorities.
    pub const CERTIFY: Roles = Roles(2);
    /// What all nodes are told: the witness policy; and that the ledger is the newest after a start.
    pub const PUBLISH: Roles = Roles(4);
    /// Looks, and does nothing.
    pub const AUDIT: Roles = Roles(8);
    /// Roles without which acts could not be done.
    pub(crate) const NEEDED: [Roles; 3] = [Roles::ADMIT, Roles::CERTIFY, Roles::PUBLISH];

    const NAMES: [(Roles, &'static str); 4] = [
        (Roles::ADMIT, "admit"),
        (Roles::CERTIFY, "certify"),
        (Roles::PUBLISH, "publish"),
        (Roles::AUDIT, "audit"),
    ];

    /// From the number; `None` where it holds other bits.
    pub fn from_number(number: u32) -> Option<Roles> {
        (number <= 15).then_some(Roles(number))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether all of these are among them.
    pub fn hold(self, others: Roles) -> bool {
        self.0 & others.0 == others.0
    }

    /// None at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Roles {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Roles, RoleError> {
        text.split(',').try_fold(Roles::default(), |roles, word| {
            let known = Roles::NAMES.iter().find(|(_, name)| *name == word);
            let (role, _) = known.ok_or_else(|| RoleError(word.to_owned()))?;
            Ok(Roles(roles.0 | role.0))
        })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Roles::NAMES.iter().filter(|(role, _)| self.hold(*role));
        let names: Vec<&str> = held.map(|(_, name)| *name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_and_numbers() {
        let roles: Roles = "certify,admit".parse().unwrap();
        assert_eq!((roles.number(), roles.to_string()), (3, "admit,certify".to_owned()));
        assert!(roles.hold(Roles::ADMIT) && !roles.hold(Roles::PUBLISH));
        assert!("".parse::<Roles>().is_err() && "admit,root".parse::<Roles>().is_err());
        assert!(Roles::from_number(16).is_none() && Roles::from_number(0).unwrap().is_empty());
    }
}
