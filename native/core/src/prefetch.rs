//! Hints to the processor that memory will be read soon.

/// Bytes of a cache line, on every machine that is hinted at.
const LINE_BYTES: usize = 64;

/// The first cache line of a value.
#[inline(always)]
pub fn line<T>(value: &T) {
    lines(std::ptr::from_ref(value).cast(), 1);
}

/// The cache lines of so many bytes from an address on.
#[inline(always)]
pub fn lines(start: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, whatever the address, and changes nothing that a program
        // can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes, LINE_BYTES);
}
