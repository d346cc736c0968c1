//! Pages to be stored, in memory that may be changed by others while it is read.

use std::marker::PhantomData;

use crate::page::PAGE_SIZE;

/// Pages back to back. Each is copied once before it is looked at, so that what is compared, compressed and summed is one
/// content, whatever another thread does to the memory meanwhile.
#[derive(Clone, Copy)]
pub struct Pages<'a> {
    start: *const u8,
    pages: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Pages<'a> {
    /// The whole pages of a slice.
    pub fn new(bytes: &'a [u8]) -> Self {
        // SAFETY: the slice is readable for 'a.
        unsafe { Self::from_raw(bytes.as_ptr(), bytes.len() / PAGE_SIZE) }
    }

    /// So many pages from an address on.
    ///
    /// # Safety
    /// The memory stays readable for 'a. Others may write to it at any time: then a page may be stored that is a mixture
    /// of old and new bytes.
    pub unsafe fn from_raw(start: *const u8, pages: usize) -> Self {
        Pages {
            start,
            pages,
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

    /// Copy a page. Panics for one that there is not.
    #[inline]
    pub fn copy(&self, page: usize, into: &mut [u8; PAGE_SIZE]) {
        assert!(page < self.pages);
        // SAFETY: the page lies within the memory that the constructor was promised; `into` is ours alone. A writer
        // at the same time can only change which bytes are copied: nothing is derived from them before the copy is done.
        unsafe {
            let from = self.start.add(page * PAGE_SIZE);
            std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), PAGE_SIZE);
        }
    }
}
