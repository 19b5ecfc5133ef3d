//! The marker of what a check has seen.

/// A value that passed the check which made it. Only [`crate::profile`] can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn assertion(value: T) -> Verified<T> {
        Verified(value)
    }

    /// Gives up the marker.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
