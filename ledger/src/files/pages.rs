//! Memory for direct writes.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::PAGE;

/// One page in memory, aligned as direct writes need it.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// A growing buffer of aligned pages, zero where nothing was put.
#[derive(Clone, Default)]
pub struct Pages {
    pages: Vec<Page>,
    used: usize,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Pages({} of {} bytes)",
            self.used,
            self.pages.len().saturating_mul(PAGE)
        )
    }
}

impl Pages {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `pages` zero pages, all in use.
    #[must_use]
    pub fn zeroed(pages: usize) -> Self {
        Self {
            pages: vec![Page([0; PAGE]); pages],
            used: pages.saturating_mul(PAGE),
        }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let end = self.used.saturating_add(bytes.len());
        let need = end.div_ceil(PAGE);
        if need > self.pages.len() {
            self.pages.resize(need, Page([0; PAGE]));
        }
        if let Some(space) = self.pages.as_mut_slice().as_mut_bytes().get_mut(self.used..end) {
            space.copy_from_slice(bytes);
        }
        self.used = end;
    }

    /// Overwrites bytes that are in use already.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(space) = self.bytes_mut().get_mut(at..at.saturating_add(bytes.len())) {
            space.copy_from_slice(bytes);
        }
    }

    /// The bytes in use.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.whole_pages().get(..self.used).unwrap_or_default()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let used = self.used;
        self.pages
            .as_mut_slice()
            .as_mut_bytes()
            .get_mut(..used)
            .unwrap_or_default()
    }

    /// The bytes in use and the zero bytes up to the end of their last page.
    #[must_use]
    pub fn whole_pages(&self) -> &[u8] {
        let whole = self.used.div_ceil(PAGE).saturating_mul(PAGE);
        self.pages.as_slice().as_bytes().get(..whole).unwrap_or_default()
    }

    /// Drops everything from byte `used` on and zeroes it.
    pub fn truncate(&mut self, used: usize) {
        if let Some(rest) = self.bytes_mut().get_mut(used..) {
            rest.fill(0);
        }
        self.used = self.used.min(used);
    }

    /// Drops the first bytes up to the last page boundary, so that only the partial last page is left, in front.
    pub fn keep_partial_page(&mut self) {
        let keep = self.used % PAGE;
        let start = self.used.saturating_sub(keep);
        self.bytes_mut().copy_within(start.., 0);
        self.truncate(keep);
        // One large commit must not hold its memory for ever.
        self.pages.truncate(RETAINED_PAGES);
        self.pages.shrink_to(RETAINED_PAGES);
    }
}

/// Pages kept between commits: 1 MiB.
const RETAINED_PAGES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_the_partial_page_and_zero_the_rest() {
        let mut pages = Pages::new();
        pages.push(&[1; PAGE]);
        pages.push(&[2; 10]);
        assert_eq!(pages.whole_pages().len(), 2 * PAGE);
        pages.keep_partial_page();
        assert_eq!(pages.bytes(), &[2; 10]);
        assert!(pages.whole_pages()[10..].iter().all(|b| *b == 0));
        pages.push(&[3; 5]);
        pages.truncate(10);
        pages.push(&[4; 1]);
        assert_eq!(pages.bytes(), &[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4]);
        assert!(pages.whole_pages()[11..].iter().all(|b| *b == 0));
        assert_eq!(pages.whole_pages().as_ptr().align_offset(PAGE), 0);
    }
}
