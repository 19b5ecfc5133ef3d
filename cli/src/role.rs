//! `--role`: on which side of an exchange the node stood.

use clap::ValueEnum;
use jisr_ledger::archive;
use jisr_proto::admin;

/// On which side of an exchange the node stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// It asked
    Consumer,
    /// It was asked
    Provider,
}

impl Role {
    /// As the admin door takes it.
    pub(crate) fn number(role: Option<Self>) -> i32 {
        let role = match role {
            None => admin::Role::Unspecified,
            Some(Self::Consumer) => admin::Role::Consumer,
            Some(Self::Provider) => admin::Role::Provider,
        };
        role.into()
    }
}

impl From<Role> for archive::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Consumer => Self::Consumer,
            Role::Provider => Self::Provider,
        }
    }
}
