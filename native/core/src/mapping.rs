//! One private anonymous mapping: address space whose frames are taken when first written.
//!
//! Covers: mapping, bytes by offset, giving frames back to the system, prefetch hints. Does not
//! cover: what lies where (`arena.rs`). All `unsafe` code of the allocator is in this file.
//!
//! Mappings are private (of a shared one MADV_DONTNEED frees nothing), and huge pages are declined,
//! because one written frame would then take 2 MiB.

use std::ptr::{self, NonNull};

use libc::{
    MADV_DONTNEED, MADV_NOHUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE,
    PROT_READ, PROT_WRITE,
};

/// Bytes a cache line, on every machine that we prefetch on.
const LINE_BYTES: usize = 64;

/// `len` bytes of readable and writable memory at `base`, owned; unmapped on drop.
///
/// Bytes that were never written, or were discarded, read as zeros.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread; memory is written
// through `&mut self` only and read through `&self`, so the borrow checker orders all access.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&self` gives nothing but reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Map `len` bytes, a multiple of 4096. None when the system refuses.
    pub fn new(len: usize) -> Option<Self> {
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no memory
        // that is in use.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == MAP_FAILED {
            return None;
        }
        let mapping = Self {
            base: NonNull::new(base.cast())?,
            len,
        };
        // A kernel without huge pages knows no such advice (EINVAL), and then it is not needed. Any
        // other failure costs memory, never bytes.
        // SAFETY: the range is the mapping just made; the advice changes no contents.
        unsafe { libc::madvise(base, len, MADV_NOHUGEPAGE) };
        Some(mapping)
    }

    /// `len` bytes at `offset`. Panics if they are not all inside.
    #[inline]
    pub fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.check(offset, len);
        // SAFETY: the range is inside the mapping (checked above), which is readable and, being
        // anonymous memory, initialised. It stays mapped, unwritten and undiscarded as long as the
        // slice lives, because all of that takes `&mut self` or ownership.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// `len` bytes at `offset`, to write. Panics if they are not all inside.
    #[inline]
    pub fn bytes_mut(&mut self, offset: usize, len: usize) -> &mut [u8] {
        self.check(offset, len);
        // SAFETY: as in `bytes`; the mapping is writable, and `&mut self` makes the slice the only
        // reference into it.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// Give whole frames back to the system. Afterwards they hold anything (zeros, if the system
    /// did as told). Panics if they are not all inside.
    pub fn discard(&mut self, offset: usize, len: usize) {
        self.check(offset, len);
        // A failure (frames of the system's that are larger than ours) keeps memory, no more.
        // SAFETY: the range is inside the mapping (checked above), and `&mut self` says that no
        // slice of it is in use. Discarded anonymous memory stays initialised: it reads as zeros.
        unsafe { libc::madvise(self.base.as_ptr().add(offset).cast(), len, MADV_DONTNEED) };
    }

    /// Have the system put memory behind whole frames in one go. Their bytes stay what they are.
    /// Panics if they are not all inside.
    pub fn populate(&mut self, offset: usize, len: usize) {
        self.check(offset, len);
        // A failure (a kernel before 5.14, no memory) leaves it to the first write.
        // SAFETY: the range is inside the mapping (checked above); the advice changes no contents.
        unsafe {
            libc::madvise(
                self.base.as_ptr().add(offset).cast(),
                len,
                libc::MADV_POPULATE_WRITE,
            )
        };
    }

    /// Ask for the cache lines of `len` bytes at `offset`. Does nothing on machines other than
    /// x86-64, and for bytes outside.
    #[inline]
    pub fn prefetch(&self, offset: usize, len: usize) {
        #[cfg(target_arch = "x86_64")]
        if offset <= self.len && len <= self.len - offset {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let first = offset & !(LINE_BYTES - 1);
            for line in (first..offset + len).step_by(LINE_BYTES) {
                // SAFETY: `line` is inside the mapping (checked above; its base is aligned to
                // frames). A prefetch reads nothing and never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(line).cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (offset, len, LINE_BYTES);
    }

    #[inline]
    fn check(&self, offset: usize, len: usize) {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "bytes outside of the mapping"
        );
    }

    /// Frames of the mapping that are in memory.
    #[cfg(test)]
    pub fn resident_frames(&self) -> usize {
        let mut states = vec![0_u8; self.len / 4096];
        // SAFETY: the range is the whole mapping, and `states` has a byte for each of its frames.
        let failed =
            unsafe { libc::mincore(self.base.as_ptr().cast(), self.len, states.as_mut_ptr()) };
        assert_eq!(failed, 0);
        states.iter().filter(|&&state| state & 1 == 1).count()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping that this value owns; no slice of it outlives the value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: usize = 4096;

    #[test]
    fn memory_is_taken_when_written_and_given_back_by_discard() {
        let mut mapping = Mapping::new(FRAMES * 4096).unwrap();
        assert_eq!(mapping.resident_frames(), 0);
        for frame in 0..FRAMES {
            mapping.bytes_mut(frame * 4096, 1)[0] = 1;
        }
        assert_eq!(mapping.resident_frames(), FRAMES);
        mapping.discard(0, FRAMES / 2 * 4096);
        assert_eq!(mapping.resident_frames(), FRAMES / 2);
        assert_eq!(mapping.bytes(4096, 1), [0]);
        assert_eq!(mapping.bytes(FRAMES / 2 * 4096, 1), [1]);
    }

    #[test]
    fn one_written_byte_takes_one_frame_and_no_huge_page() {
        let mut mapping = Mapping::new(16 << 20).unwrap();
        for at in (0..16 << 20).step_by(2 << 20) {
            mapping.bytes_mut(at, 1)[0] = 1;
        }
        assert_eq!(mapping.resident_frames(), 8);
    }

    #[test]
    fn a_mapping_that_the_system_refuses_is_none() {
        assert!(Mapping::new(1 << 60).is_none());
    }

    #[test]
    fn prefetching_anything_is_harmless() {
        let mapping = Mapping::new(4096).unwrap();
        mapping.prefetch(100, 3000);
        mapping.prefetch(4096, 1);
        mapping.prefetch(usize::MAX, usize::MAX);
        assert_eq!(mapping.resident_frames(), 0);
    }

    #[test]
    #[should_panic(expected = "outside of the mapping")]
    fn bytes_outside_are_refused() {
        let _ = Mapping::new(4096).unwrap().bytes(4000, 97);
    }
}
