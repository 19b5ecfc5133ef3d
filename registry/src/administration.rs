//! What administrators do: documents that they sign, read and checked by form (docs/formats.md, Administrators).
//!
//! `Order` is what one says, `Signed` the order with its signature; whether the signer may is the state's to say. [`Credential`] is
//! the other side: it signs.

mod credential;
mod member;
mod order;
mod roles;

pub use credential::{Credential, draw_secret, token_text};
pub use member::check as check_member;
pub use roles::{RoleError, Roles};

pub(crate) use order::{Order, Signed};
