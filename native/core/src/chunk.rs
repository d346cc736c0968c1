//! Tables in pieces whose memory goes back to the system when they are dropped.
//!
//! Covers: one fixed-length piece of zeroed memory of its own mapping. Does not cover: which pieces
//! there are. Pieces from the ordinary allocator would stay with the process: it keeps what is
//! freed between pieces that are in use.

use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE};

/// Types for which all bytes zero are a value, and that need no dropping.
///
/// # Safety
/// Both are so.
pub unsafe trait Zeroed: Sized {}

// SAFETY: zero is a number.
unsafe impl Zeroed for u32 {}

/// `len` values that begin as zeros.
pub struct Chunk<T: Zeroed> {
    base: NonNull<T>,
    len: usize,
}

// SAFETY: the memory belongs to this value alone, as that of a boxed slice does.
unsafe impl<T: Zeroed + Send> Send for Chunk<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroed + Sync> Sync for Chunk<T> {}

impl<T: Zeroed> Chunk<T> {
    /// Zeros.
    ///
    /// # Panics
    ///
    /// If the system has no memory, or for no values at all.
    pub fn new(len: usize) -> Self {
        let bytes = len.checked_mul(size_of::<T>()).expect("a size");
        assert!(bytes > 0 && align_of::<T>() <= 4096);
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no memory
        // that is in use.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert!(
            base != MAP_FAILED,
            "the system has no memory for {bytes} bytes of tables"
        );
        Chunk {
            base: NonNull::new(base.cast()).expect("mapped"),
            len,
        }
    }
}

impl<T: Zeroed> Deref for Chunk<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has room for `len` values, is aligned to a frame, and holds zeros,
        // which are values, or what was written through `deref_mut`; it lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> DerefMut for Chunk<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> Drop for Chunk<T> {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping that this value made; nothing refers to it any more, and
        // its values need no dropping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_zeros_until_it_is_written() {
        let mut chunk: Chunk<u32> = Chunk::new(5000);
        assert_eq!(chunk.len(), 5000);
        assert!(chunk.iter().all(|number| *number == 0));
        chunk[4999] = 7;
        assert_eq!(chunk.iter().sum::<u32>(), 7);
    }
}
