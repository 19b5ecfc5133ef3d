//! Members and what belongs to them.

use super::names::{is_class, is_code, is_instance};
use super::text::text_identifier;
use super::{Code, Epoch, Instance, Origin};

text_identifier! {
    /// An organisation: `JO/GOV/mol`, instance, class and code.
    MemberId, Member, |text| {
        let mut parts = text.split('/');
        parts.next().is_some_and(is_instance)
            && parts.next().is_some_and(is_class)
            && parts.next().is_some_and(is_code)
            && parts.next().is_none()
    }
}

text_identifier! {
    /// A system of a member, the unit of access: `JO/GOV/mol/permits`.
    SubsystemId, Subsystem, |text| {
        member_and(text).is_some_and(|(_, code)| is_code(code) && !RESERVED.contains(&code))
    }
}

text_identifier! {
    /// A server of a member: `JO/GOV/mol/node/node1`.
    NodeId, Node, |text| role_of(text, "node")
}

text_identifier! {
    /// A person who signs for a member, as named by the member's own CA: `JO/GOV/mol/officer/rania`.
    OfficerId, Officer, |text| role_of(text, "officer")
}

/// Codes that no subsystem may have, because they stand for roles in SPIFFE ids and node ids.
const RESERVED: [&str; 4] = ["node", "officer", "subsystem", "registry"];

/// Splits off what follows the member.
fn member_and(text: &str) -> Option<(&str, &str)> {
    let (end, _) = text.match_indices('/').nth(2)?;
    let (member, rest) = text.split_at_checked(end)?;
    member.parse::<MemberId>().ok()?;
    Some((member, rest.strip_prefix('/')?))
}

/// Whether the text is a member, the word `role` and a code.
fn role_of(text: &str, role: &str) -> bool {
    member_and(text)
        .and_then(|(_, rest)| rest.strip_prefix(role)?.strip_prefix('/'))
        .is_some_and(is_code)
}

/// Splits a text that has been checked to begin with a member.
fn parts(text: &str) -> (&str, &str) {
    member_and(text).expect("the constructor found a member in front")
}

impl MemberId {
    /// Puts a member together. `class` is 2 to 8 of A-Z.
    ///
    /// # Errors
    /// [`super::IdentError::Member`] if the class is none.
    pub fn new(instance: &Instance, class: &str, code: &Code) -> Result<MemberId, super::IdentError> {
        format!("{instance}/{class}/{code}").parse()
    }

    /// The network it belongs to.
    pub fn instance(&self) -> Instance {
        self.part(0).parse().expect("the constructor checked the instance")
    }

    /// The class, such as `GOV`.
    pub fn class(&self) -> &str {
        self.part(1)
    }

    /// The code, such as `mol`.
    pub fn code(&self) -> Code {
        self.part(2).parse().expect("the constructor checked the code")
    }

    /// A subsystem of this member; none if the code is reserved.
    pub fn subsystem(&self, code: &Code) -> Option<SubsystemId> {
        format!("{self}/{code}").parse().ok()
    }

    /// A node of this member.
    pub fn node(&self, code: &Code) -> NodeId {
        format!("{self}/node/{code}")
            .parse()
            .expect("a member and a code make a node")
    }

    /// An officer of this member.
    pub fn officer(&self, code: &Code) -> OfficerId {
        format!("{self}/officer/{code}")
            .parse()
            .expect("a member and a code make an officer")
    }

    fn part(&self, position: usize) -> &str {
        self.as_str()
            .split('/')
            .nth(position)
            .expect("the constructor found three parts")
    }
}

impl SubsystemId {
    /// The member it belongs to.
    pub fn member(&self) -> MemberId {
        parts(self.as_str())
            .0
            .parse()
            .expect("the constructor checked the member")
    }

    /// Its own code, such as `permits`.
    pub fn code(&self) -> Code {
        parts(self.as_str())
            .1
            .parse()
            .expect("the constructor checked the code")
    }

    /// The network it belongs to.
    pub fn instance(&self) -> Instance {
        self.member().instance()
    }
}

impl NodeId {
    /// The member it belongs to.
    pub fn member(&self) -> MemberId {
        parts(self.as_str())
            .0
            .parse()
            .expect("the constructor checked the member")
    }

    /// Its own code, such as `node1`.
    pub fn code(&self) -> Code {
        role_code(self.as_str())
    }

    /// The network it belongs to.
    pub fn instance(&self) -> Instance {
        self.member().instance()
    }

    /// Origin of the ledger that it begins in this epoch.
    pub fn origin(&self, epoch: &Epoch) -> Origin {
        Origin::of_node(&self.member(), &self.code(), epoch)
    }

    /// Key name of its witness: `jisr/JO/GOV/mol/node1/witness`.
    pub fn witness_name(&self) -> String {
        format!("jisr/{}/{}/witness", self.member(), self.code())
    }
}

impl OfficerId {
    /// The member it signs for.
    pub fn member(&self) -> MemberId {
        parts(self.as_str())
            .0
            .parse()
            .expect("the constructor checked the member")
    }

    /// The officer's own code.
    pub fn code(&self) -> Code {
        role_code(self.as_str())
    }
}

/// The code at the end of a checked node or officer.
fn role_code(text: &str) -> Code {
    let (_, code) = text.rsplit_once('/').expect("the constructor found a code");
    code.parse().expect("the constructor checked the code")
}
