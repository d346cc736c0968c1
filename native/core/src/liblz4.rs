//! The C library liblz4, as far as the codec needs it: blocks of at most some KiB, in and out.
//!
//! Covers: one reused compressor state, compression with a limit, decompression of blocks that may
//! be anything. Does not cover: frames, dictionaries, streams of more than one block. lz4-sys
//! builds and links the library (statically) but declares only a part of it, so the functions are
//! declared here, as in its `lz4.h`.
//!
//! Python's package `lz4` makes a block as the first one of a stream, and so does this. The blocks
//! of `LZ4_compress_default` are others: it has another hash for inputs below 64 KiB.

use std::ffi::{c_char, c_int, c_void};

use lz4_sys as _;

unsafe extern "C" {
    fn LZ4_sizeofState() -> c_int;
    fn LZ4_initStream(state: *mut c_void, size: usize) -> *mut c_void;
    fn LZ4_compress_fast_continue(
        stream: *mut c_void,
        source: *const c_char,
        target: *mut c_char,
        source_length: c_int,
        target_length: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_decompress_safe(
        source: *const c_char,
        target: *mut c_char,
        source_length: c_int,
        target_length: c_int,
    ) -> c_int;
}

/// What Python's `lz4.block` compresses with.
const ACCELERATION: c_int = 1;

/// A stream, which is mostly the compressor's hash table. What is in it between calls means
/// nothing.
pub(crate) struct Compressor {
    /// Words, because the library wants the alignment of a pointer.
    stream: Box<[u64]>,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        // SAFETY: takes no arguments and reads no state.
        let bytes = unsafe { LZ4_sizeofState() };
        let words = usize::try_from(bytes).expect("a size").div_ceil(8);
        Self {
            stream: vec![0; words].into_boxed_slice(),
        }
    }

    /// Compresses `source` into one block at the start of `target`.
    ///
    /// Gives the block's length in bytes, or None where the block would be longer than `target`;
    /// then it stops early, with anything in `target`. A block that fits is the same bytes whatever
    /// the length of `target`.
    pub(crate) fn compress(&mut self, source: &[u8], target: &mut [u8]) -> Option<usize> {
        let source_length = c_int::try_from(source.len()).ok()?;
        let target_length = c_int::try_from(target.len()).unwrap_or(c_int::MAX);
        let stream: *mut c_void = self.stream.as_mut_ptr().cast();
        // Clears the whole table. LZ4_resetStream_fast would leave earlier pages' entries in it,
        // for blocks that differ a little, and costs more than it saves: see `docs/native.md`.
        // SAFETY: `stream` is the start of a buffer of the size given, aligned as a word.
        let initialised = unsafe { LZ4_initStream(stream, size_of_val(&*self.stream)) };
        assert!(!initialised.is_null(), "liblz4 declined its own state");
        // SAFETY: the stream was initialised just now, so it refers to no earlier data. The library
        // reads `source_length` bytes of `source` and writes at most `target_length` bytes of
        // `target`; neither is more than the slice has, and `target` is borrowed for writing, so
        // they do not overlap. That the stream then points at `source` does not matter, because
        // nothing uses it before it is initialised again.
        let length = unsafe {
            LZ4_compress_fast_continue(
                stream,
                source.as_ptr().cast(),
                target.as_mut_ptr().cast(),
                source_length,
                target_length,
                ACCELERATION,
            )
        };
        usize::try_from(length).ok().filter(|&length| length > 0)
    }
}

/// Decompresses one block: the bytes written at the start of `target`, or None if `source` is no
/// block or one of more bytes than `target` has; then anything may be in `target`.
pub(crate) fn decompress(source: &[u8], target: &mut [u8]) -> Option<usize> {
    let source_length = c_int::try_from(source.len()).ok()?;
    let target_length = c_int::try_from(target.len()).unwrap_or(c_int::MAX);
    // SAFETY: the library promises for LZ4_decompress_safe that it never reads outside of the
    // `source_length` bytes of `source` nor writes outside of the `target_length` bytes of
    // `target`, whatever the block is; neither is more than the slice has, and they do not overlap.
    let length = unsafe {
        LZ4_decompress_safe(
            source.as_ptr().cast(),
            target.as_mut_ptr().cast(),
            source_length,
            target_length,
        )
    };
    usize::try_from(length).ok()
}
