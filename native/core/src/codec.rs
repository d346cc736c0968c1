//! Pages to blobs and back: same-filled detection, LZ4, Zstandard, checksums.
//!
//! Covers: encoding of one page, decoding of one blob that may be anything, and the reused states
//! that both need. No locks, no shared state: one [`Encoder`] or [`Decoder`] a thread, used outside
//! or inside the cache's lock. Does not cover: where blobs are kept, and when a checksum is wanted.
//!
//! The twin of `zcache/codec.py`: the same pages give the same blobs, byte for byte. A page that
//! does not compress below the huge watermark of zsmalloc is kept as it is: a blob beyond that
//! would take a whole frame all the same (as zram decides).
//!
//! Why liblz4 and libzstd in C: see "Codecs" in `docs/native.md`.

use zstd_safe::{CCtx, CParameter, DCtx, find_frame_compressed_size, get_frame_content_size};

use crate::liblz4;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// Zstandard's level, chosen by measurement (`docs/native.md`).
pub const ZSTD_LEVEL: i32 = 1;

/// Room for any page as one Zstandard frame (`ZSTD_COMPRESSBOUND(4096)` is 4174).
const ZSTD_BOUND: usize = 4352;

/// How a blob stands for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Encoding {
    /// The page itself.
    Raw = 0,
    /// One LZ4 block, without its length.
    Lz4 = 1,
    /// 64 bits, little-endian, that the page repeats.
    Same = 2,
    /// One Zstandard frame, with the content's size and without a checksum.
    Zstd = 3,
}

/// What pages are compressed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// LZ4 blocks.
    Lz4,
    /// Zstandard frames.
    Zstd,
    /// Nothing: pages are kept as they are.
    None,
}

/// What became of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoded {
    /// A blob at the start of the buffer.
    Blob {
        /// Bytes: fewer than the huge length, or [`PAGE_SIZE`] if raw.
        length: usize,
        /// Raw, or what the codec makes.
        encoding: Encoding,
        /// XXH3-64 of the blob.
        checksum: u64,
    },
    /// A same-filled page, by its pattern; the buffer is not touched.
    Same(u64),
    /// A page that does not compress, and was not wanted raw.
    Refused,
}

/// The states of one thread that encodes: LZ4's hash table (16 KiB), and with the first page for
/// Zstandard its context and a buffer.
pub struct Encoder {
    lz4: liblz4::Compressor,
    zstd: Option<ZstdEncoder>,
}

struct ZstdEncoder {
    context: CCtx<'static>,
    /// Where frames are made. With less than [`ZSTD_BOUND`] bytes the library is slower, and near
    /// the limit it may choose otherwise than Python's does.
    frame: Box<[u8; ZSTD_BOUND]>,
}

impl ZstdEncoder {
    fn new() -> Self {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL))
            .expect("a level that the library knows");
        Self {
            context,
            frame: Box::new([0; ZSTD_BOUND]),
        }
    }

    /// Compresses one page into `out`; None if the frame is longer.
    fn compress(&mut self, page: &[u8; PAGE_SIZE], out: &mut [u8]) -> Option<usize> {
        let length = self.context.compress2(&mut self.frame[..], page).ok()?;
        out.get_mut(..length)?
            .copy_from_slice(&self.frame[..length]);
        Some(length)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// States for one thread.
    pub fn new() -> Self {
        Self {
            lz4: liblz4::Compressor::new(),
            zstd: None,
        }
    }

    /// Encodes one page into the start of `out`, which needs [`PAGE_SIZE`] bytes; what is in `out`
    /// behind the blob is undefined.
    ///
    /// A same-filled page is found first, whatever the codec. A blob of `huge_length` bytes or more
    /// becomes a raw one, or with `refuse` (and a codec) is refused.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than a page.
    pub fn encode(
        &mut self,
        page: &[u8; PAGE_SIZE],
        codec: Codec,
        huge_length: usize,
        refuse: bool,
        out: &mut [u8],
    ) -> Encoded {
        let out = &mut out[..PAGE_SIZE];
        if let Some(pattern) = same_filled(page) {
            return Encoded::Same(pattern);
        }
        // Both compressors stop, or decline, at the limit; a blob below it is the same as without.
        let limit = huge_length.min(PAGE_SIZE).saturating_sub(1);
        let (length, encoding) = match codec {
            Codec::Lz4 => (self.lz4.compress(page, &mut out[..limit]), Encoding::Lz4),
            Codec::Zstd => {
                let zstd = self.zstd.get_or_insert_with(ZstdEncoder::new);
                (zstd.compress(page, &mut out[..limit]), Encoding::Zstd)
            }
            Codec::None => (None, Encoding::Raw),
        };
        let (length, encoding) = match length {
            Some(length) => (length, encoding),
            None if refuse && codec != Codec::None => return Encoded::Refused,
            None => {
                out.copy_from_slice(page);
                (PAGE_SIZE, Encoding::Raw)
            }
        };
        Encoded::Blob {
            length,
            encoding,
            checksum: checksum(&out[..length]),
        }
    }
}

/// The state of one thread that decodes: with the first Zstandard frame, its context.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<DCtx<'static>>,
}

impl Decoder {
    /// A state for one thread.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes a blob into `page`: false if it is not an encoding of exactly one page, and then
    /// anything may be in `page`.
    ///
    /// Whatever the blob is, nothing outside of it is read, and nothing outside of `page` written.
    /// The checksum is the caller's to compare.
    pub fn decode(&mut self, blob: &[u8], encoding: Encoding, page: &mut [u8; PAGE_SIZE]) -> bool {
        match encoding {
            Encoding::Raw => blob.try_into().is_ok_and(|raw: &[u8; PAGE_SIZE]| {
                *page = *raw;
                true
            }),
            Encoding::Lz4 => liblz4::decompress(blob, page) == Some(PAGE_SIZE),
            Encoding::Same => blob.try_into().is_ok_and(|word| {
                fill(page, u64::from_le_bytes(word));
                true
            }),
            Encoding::Zstd => {
                // The library would take several frames one after the other, too.
                get_frame_content_size(blob).ok().flatten() == Some(PAGE_SIZE as u64)
                    && find_frame_compressed_size(blob) == Ok(blob.len())
                    && {
                        let context = self.zstd.get_or_insert_with(DCtx::create);
                        context.decompress(&mut page[..], blob) == Ok(PAGE_SIZE)
                    }
            }
        }
    }
}

/// XXH3-64 with seed 0 over a blob.
pub fn checksum(blob: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(blob)
}

/// The 64-bit pattern that a page repeats, if it does: its first word, read as little-endian.
pub fn same_filled(page: &[u8; PAGE_SIZE]) -> Option<u64> {
    let (first, last) = (&page[..8], &page[PAGE_SIZE - 8..]);
    // A page equal to itself moved by one word repeats that word; most pages fail at once.
    (first == last && page[8..] == page[..PAGE_SIZE - 8])
        .then(|| u64::from_le_bytes(first.try_into().expect("eight bytes")))
}

/// Makes the page that a pattern stands for.
pub fn fill(page: &mut [u8; PAGE_SIZE], pattern: u64) {
    for word in page.chunks_exact_mut(8) {
        word.copy_from_slice(&pattern.to_le_bytes());
    }
}
