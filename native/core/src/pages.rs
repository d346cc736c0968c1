//! Pages to be stored, in memory of their owner.

use std::marker::PhantomData;

use crate::page::PAGE_SIZE;

/// Pages back to back, in memory that stays as it is, or in memory that others may write to.
///
/// Of the latter each page is copied once before it is looked at, so that what is compared,
/// compressed and summed is one content, whatever another thread does to the memory meanwhile. The
/// copy costs about a twelfth of what LZ4 takes, so it is spared where it can be.
#[derive(Clone, Copy)]
pub struct Pages<'a> {
    start: *const u8,
    pages: usize,
    stable: bool,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: the memory is only read, and may be from any thread: it is reached by its address, and
// what the constructor was promised holds for all of 'a, whoever reads.
unsafe impl Send for Pages<'_> {}
// SAFETY: as above; there is nothing here to change.
unsafe impl Sync for Pages<'_> {}

impl<'a> Pages<'a> {
    /// The whole pages of a slice.
    pub fn new(bytes: &'a [u8]) -> Self {
        // SAFETY: the slice is readable for 'a, and a shared slice does not change.
        unsafe { Self::from_raw(bytes.as_ptr(), bytes.len() / PAGE_SIZE, true) }
    }

    /// So many pages from an address on; `stable`: nobody writes to them for 'a.
    ///
    /// # Safety
    /// The memory stays readable for 'a. It is as stable as is said; where it is not, others may
    /// write to it at any time, and then a page may be stored that is a mixture of old and new
    /// bytes.
    pub unsafe fn from_raw(start: *const u8, pages: usize, stable: bool) -> Self {
        Pages {
            start,
            pages,
            stable,
            memory: PhantomData,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.pages
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// A page, where it is or as a copy in `scratch`. Panics for one that there is not.
    #[inline]
    pub fn page<'b>(
        &'b self,
        page: usize,
        scratch: &'b mut [u8; PAGE_SIZE],
    ) -> &'b [u8; PAGE_SIZE] {
        assert!(page < self.pages);
        // SAFETY: the page lies within the memory that the constructor was promised.
        let from = unsafe { self.start.add(page * PAGE_SIZE) };
        if self.stable {
            // SAFETY: as above, and nobody writes to it; bytes have no alignment.
            return unsafe { &*from.cast() };
        }
        // SAFETY: as above; `scratch` is ours alone. A writer at the same time can only change
        // which bytes are copied: nothing is derived from them before the copy is done.
        unsafe { std::ptr::copy_nonoverlapping(from, scratch.as_mut_ptr(), PAGE_SIZE) };
        scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_where_it_is_or_copied() {
        let bytes: Vec<u8> = (0..2 * PAGE_SIZE).map(|at| (at / 100) as u8).collect();
        let mut scratch = [0; PAGE_SIZE];
        let pages = Pages::new(&bytes);
        assert_eq!(pages.page(1, &mut scratch)[..], bytes[PAGE_SIZE..]);
        assert_eq!(scratch, [0; PAGE_SIZE]);
        // SAFETY: the slice outlives the pages.
        let pages = unsafe { Pages::from_raw(bytes.as_ptr(), 2, false) };
        assert_eq!(pages.page(1, &mut scratch)[..], bytes[PAGE_SIZE..]);
        assert_eq!(scratch[..], bytes[PAGE_SIZE..]);
    }

    #[test]
    #[should_panic(expected = "page < self.pages")]
    fn a_page_that_there_is_not_is_not_read() {
        Pages::new(&[0; PAGE_SIZE]).page(1, &mut [0; PAGE_SIZE]);
    }
}
