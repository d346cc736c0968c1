//! Ways into the C library liblz4 that are measured against each other.
//!
//! lz4-sys builds and links the library, but declares only a part of it.

use std::ffi::{c_char, c_int, c_void};

use lz4_sys as _;

unsafe extern "C" {
    fn LZ4_sizeofState() -> c_int;
    fn LZ4_initStream(state: *mut c_void, size: usize) -> *mut c_void;
    fn LZ4_compress_default(
        source: *const c_char,
        target: *mut c_char,
        source_size: c_int,
        target_size: c_int,
    ) -> c_int;
    fn LZ4_compress_fast_extState(
        state: *mut c_void,
        source: *const c_char,
        target: *mut c_char,
        source_size: c_int,
        target_size: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_compress_fast_extState_fastReset(
        state: *mut c_void,
        source: *const c_char,
        target: *mut c_char,
        source_size: c_int,
        target_size: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_resetStream_fast(state: *mut c_void);
    fn LZ4_compress_fast_continue(
        state: *mut c_void,
        source: *const c_char,
        target: *mut c_char,
        source_size: c_int,
        target_size: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_decompress_safe(
        source: *const c_char,
        target: *mut c_char,
        source_size: c_int,
        target_size: c_int,
    ) -> c_int;
}

/// `LZ4_compress_default`, which makes its state anew on the stack.
pub fn compress_default(page: &[u8], out: &mut [u8]) -> usize {
    // SAFETY: both lengths are those of the slices.
    let length = unsafe {
        LZ4_compress_default(
            page.as_ptr().cast(),
            out.as_mut_ptr().cast(),
            page.len() as c_int,
            out.len() as c_int,
        )
    };
    length as usize
}

/// `LZ4_decompress_safe`: the length, or None.
pub fn decompress(blob: &[u8], out: &mut [u8]) -> Option<usize> {
    // SAFETY: both lengths are those of the slices.
    let length = unsafe {
        LZ4_decompress_safe(
            blob.as_ptr().cast(),
            out.as_mut_ptr().cast(),
            blob.len() as c_int,
            out.len() as c_int,
        )
    };
    usize::try_from(length).ok()
}

/// A state that is used again for every page.
pub struct State {
    words: Box<[u64]>,
}

impl State {
    pub fn new() -> Self {
        // SAFETY: takes nothing.
        let size = unsafe { LZ4_sizeofState() } as usize;
        let mut words = vec![0; size.div_ceil(8)].into_boxed_slice();
        // SAFETY: the buffer has the size given, and the alignment of a u64.
        let state = unsafe { LZ4_initStream(words.as_mut_ptr().cast(), size) };
        assert!(!state.is_null());
        Self { words }
    }

    /// `LZ4_compress_fast_extState`: clears the whole state first. 0 if `out` is too small.
    pub fn compress(&mut self, page: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: both lengths are those of the slices; the state has the size it needs.
        let length = unsafe {
            LZ4_compress_fast_extState(
                self.words.as_mut_ptr().cast(),
                page.as_ptr().cast(),
                out.as_mut_ptr().cast(),
                page.len() as c_int,
                out.len() as c_int,
                1,
            )
        };
        length as usize
    }

    /// `LZ4_compress_fast_extState_fastReset`. 0 if `out` is too small.
    pub fn compress_fast_reset(&mut self, page: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: as above, and the state was initialised by `new` and is used by nothing else.
        let length = unsafe {
            LZ4_compress_fast_extState_fastReset(
                self.words.as_mut_ptr().cast(),
                page.as_ptr().cast(),
                out.as_mut_ptr().cast(),
                page.len() as c_int,
                out.len() as c_int,
                1,
            )
        };
        length as usize
    }

    /// As Python's `lz4.block`: `LZ4_compress_fast_continue` in a stream that begins with this
    /// page. 0 if `out` is too small.
    pub fn compress_stream(&mut self, page: &[u8], out: &mut [u8]) -> usize {
        let size = self.words.len() * 8;
        // SAFETY: the buffer has the size given, and the alignment of a u64.
        unsafe { LZ4_initStream(self.words.as_mut_ptr().cast(), size) };
        self.compress_continue(page, out)
    }

    /// The same with `LZ4_resetStream_fast`, which keeps the table of earlier pages: nothing is
    /// cleared, but there are entries to pass over. 0 if `out` is too small.
    pub fn compress_kept_stream(&mut self, page: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: the state was initialised by `new` and is used by nothing else.
        unsafe { LZ4_resetStream_fast(self.words.as_mut_ptr().cast()) };
        self.compress_continue(page, out)
    }

    fn compress_continue(&mut self, page: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: both lengths are those of the slices; the stream was reset just before, so it
        // knows no earlier data.
        let length = unsafe {
            LZ4_compress_fast_continue(
                self.words.as_mut_ptr().cast(),
                page.as_ptr().cast(),
                out.as_mut_ptr().cast(),
                page.len() as c_int,
                out.len() as c_int,
                1,
            )
        };
        length as usize
    }
}
