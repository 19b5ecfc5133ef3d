//! A mark that only a check can make.

use std::ops::Deref;

/// A value that was verified. Only this crate's checks make one, so a function that takes it cannot be reached without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// To be called at the end of a check, and nowhere else.
    pub(crate) fn new(checked: T) -> Self {
        Self(checked)
    }

    /// The value without its mark.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
