//! LZ4, zstd and XXH3-64 over pages: which implementation, which way into it, which level.
//!
//! A compressor's output goes to one small buffer that stays in the CPU's cache, as in the cache
//! proper, where a blob is made in a buffer and then copied to its slot; pages are read, and blobs
//! are decompressed, from memory.

use std::hint::black_box;

use zcache_core::codec::{Codec, Decoder, Encoded, Encoder, Encoding, PAGE_SIZE};

use crate::corpus::Page;
use crate::lz4;
use crate::rounds::{Operation, Time, run};

/// The huge length of a cache whose zspages have up to 8 frames (the default).
const HUGE_LENGTH: usize = 3625;
/// What any of the compressors needs for a page at most.
const OUT: usize = 4608;

const FLEX: &str = if cfg!(feature = "flex-safe") {
    "lz4_flex safe"
} else {
    "lz4_flex unsafe"
};

/// Compressed pages, end to end.
#[derive(Default)]
struct Blobs {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Blobs {
    fn of(pages: &[Page], mut compress: impl FnMut(&Page, &mut [u8]) -> usize) -> Self {
        let mut blobs = Self::default();
        let mut out = [0; OUT];
        for page in pages {
            let length = compress(page, &mut out);
            blobs.data.extend_from_slice(&out[..length]);
            blobs.ends.push(blobs.data.len());
        }
        blobs
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let blob = &self.data[start..end];
            start = end;
            blob
        })
    }

    /// Bytes stored a page's byte, if blobs of the huge length or more are stored as pages.
    fn ratio(&self) -> f64 {
        let stored: usize = self
            .iter()
            .map(|b| {
                if b.len() < HUGE_LENGTH {
                    b.len()
                } else {
                    PAGE_SIZE
                }
            })
            .sum();
        (self.ends.len() * PAGE_SIZE) as f64 / stored as f64
    }
}

/// Measures and prints all tables.
pub fn measure(pages: &[Page], rounds: usize) {
    check(pages);
    let (fit, unfit) = apart(pages);
    println!(
        "{} pages, {} of them below the huge length of {HUGE_LENGTH} with LZ4; {rounds} rounds",
        pages.len(),
        fit.len()
    );
    for (title, pages) in [
        ("all pages", pages),
        ("pages that LZ4 compresses below the huge length", &fit),
        ("pages that it does not", &unfit),
    ] {
        if !pages.is_empty() {
            compressors(title, pages, rounds);
            decompressors(title, pages, rounds);
        }
    }
    checksums(pages, rounds);
}

/// Pages that compress, and the others.
fn apart(pages: &[Page]) -> (Vec<Page>, Vec<Page>) {
    let blobs = Blobs::of(pages, core_compressor(Codec::Lz4));
    let (fit, unfit): (Vec<_>, Vec<_>) = pages
        .iter()
        .zip(blobs.iter())
        .partition(|(_, blob)| blob.len() < HUGE_LENGTH);
    let pages_of = |rows: Vec<(&Page, _)>| rows.into_iter().map(|(page, _)| *page).collect();
    (pages_of(fit), pages_of(unfit))
}

/// Asserts what the comparison takes for granted: ways into liblz4 that should give equal blocks
/// do, and a limit changes nothing but whether there is a block.
fn check(pages: &[Page]) {
    let (mut state, mut reset) = (lz4::State::new(), lz4::State::new());
    let mut stream = lz4::State::new();
    let (mut want, mut out) = ([0; OUT], [0; OUT]);
    for page in pages {
        let length = lz4::compress_default(page, &mut want);
        let compressed = state.compress(page, &mut out);
        assert_eq!(out[..compressed], want[..length], "a state used again");
        let compressed = reset.compress_fast_reset(page, &mut out);
        assert_eq!(out[..compressed], want[..length], "a state reset fast");
        let length = stream.compress_stream(page, &mut want);
        let compressed = stream.compress_stream(page, &mut out[..length]);
        assert_eq!(out[..compressed], want[..length], "a limit that is met");
        let compressed = stream.compress_stream(page, &mut out[..length - 1]);
        assert_eq!(compressed, 0, "a limit that is not met");
    }
}

fn zstd_compressor(level: i32) -> impl FnMut(&Page, &mut [u8]) -> usize {
    let mut context = zstd_safe::CCtx::create();
    context
        .set_parameter(zstd_safe::CParameter::CompressionLevel(level))
        .expect("a level that exists");
    move |page, out| context.compress2(out, page).expect("fits")
}

fn core_compressor(codec: Codec) -> impl FnMut(&Page, &mut [u8]) -> usize {
    let mut encoder = Encoder::new();
    move |page, out| match encoder.encode(page, codec, HUGE_LENGTH, false, out) {
        Encoded::Blob { length, .. } => length,
        _ => 0,
    }
}

type Compress = Box<dyn FnMut(&Page, &mut [u8]) -> usize>;

fn with_state(compress: fn(&mut lz4::State, &Page, &mut [u8]) -> usize) -> Compress {
    let mut state = lz4::State::new();
    Box::new(move |page, out| compress(&mut state, page, out))
}

fn compressors(title: &str, pages: &[Page], rounds: usize) {
    let mut table = lz4_flex::block::CompressTable::small();
    let candidates: [(&'static str, Compress); 13] = [
        (
            "liblz4 default",
            Box::new(|page, out| lz4::compress_default(page, out)),
        ),
        (
            "liblz4 state",
            with_state(|state, page, out| state.compress(page, out)),
        ),
        (
            "liblz4 state, fastReset",
            with_state(|state, page, out| state.compress_fast_reset(page, out)),
        ),
        (
            "liblz4 stream",
            with_state(|state, page, out| state.compress_stream(page, out)),
        ),
        (
            "liblz4 stream, limit",
            with_state(|state, page, out| {
                match state.compress_stream(page, &mut out[..HUGE_LENGTH - 1]) {
                    0 => PAGE_SIZE,
                    length => length,
                }
            }),
        ),
        (
            "liblz4 stream, kept table",
            with_state(|state, page, out| state.compress_kept_stream(page, out)),
        ),
        (
            FLEX,
            Box::new(move |page, out| {
                lz4_flex::block::compress_into_with_table(page, out, &mut table).expect("fits")
            }),
        ),
        ("zstd level -1", Box::new(zstd_compressor(-1))),
        ("zstd level 1", Box::new(zstd_compressor(1))),
        ("zstd level 2", Box::new(zstd_compressor(2))),
        ("zstd level 3", Box::new(zstd_compressor(3))),
        ("zcache-core lz4", Box::new(core_compressor(Codec::Lz4))),
        ("zcache-core zstd", Box::new(core_compressor(Codec::Zstd))),
    ];
    let mut ratios = Vec::new();
    let mut operations = Vec::new();
    for (name, mut compress) in candidates {
        ratios.push(Blobs::of(pages, &mut compress).ratio());
        let body = Box::new(move || {
            let mut out = [0; OUT];
            for page in pages {
                black_box(compress(black_box(page), &mut out));
            }
        });
        operations.push(Operation { name, body });
    }
    println!("\ncompress, {title} ({})", pages.len());
    let times = run(&mut operations, rounds, pages.len());
    for ((operation, time), ratio) in operations.iter().zip(&times).zip(ratios) {
        print_time(
            operation.name,
            time,
            PAGE_SIZE as f64,
            &format!("  ratio {ratio:.3}"),
        );
    }
}

fn decompressors(title: &str, pages: &[Page], rounds: usize) {
    type Decompress = Box<dyn FnMut(&[u8], &mut Page) -> bool>;
    let lz4_blobs = Blobs::of(
        pages,
        with_state(|state, page, out| state.compress_stream(page, out)),
    );
    let zstd_fast = Blobs::of(pages, zstd_compressor(1));
    let zstd_default = Blobs::of(pages, zstd_compressor(3));
    let zstd = || -> Decompress {
        let mut context = zstd_safe::DCtx::create();
        Box::new(move |blob, page| context.decompress(&mut page[..], blob) == Ok(PAGE_SIZE))
    };
    let core = |encoding| -> Decompress {
        let mut decoder = Decoder::new();
        Box::new(move |blob, page| decoder.decode(blob, encoding, page))
    };
    let candidates: [(&'static str, &Blobs, Decompress); 6] = [
        (
            "liblz4 decompress_safe",
            &lz4_blobs,
            Box::new(|blob, page| lz4::decompress(blob, page) == Some(PAGE_SIZE)),
        ),
        (
            FLEX,
            &lz4_blobs,
            Box::new(|blob, page| {
                lz4_flex::block::decompress_into(blob, page).is_ok_and(|length| length == PAGE_SIZE)
            }),
        ),
        ("zstd level 1", &zstd_fast, zstd()),
        ("zstd level 3", &zstd_default, zstd()),
        ("zcache-core lz4", &lz4_blobs, core(Encoding::Lz4)),
        ("zcache-core zstd", &zstd_fast, core(Encoding::Zstd)),
    ];
    let mut operations = Vec::new();
    for (name, blobs, mut decompress) in candidates {
        let body = Box::new(move || {
            let mut page = [0; PAGE_SIZE];
            for blob in blobs.iter() {
                assert!(decompress(black_box(blob), &mut page));
                black_box(&page);
            }
        });
        operations.push(Operation { name, body });
    }
    println!("\ndecompress, {title} ({})", pages.len());
    let times = run(&mut operations, rounds, pages.len());
    for (operation, time) in operations.iter().zip(&times) {
        print_time(operation.name, time, PAGE_SIZE as f64, "");
    }
}

fn checksums(pages: &[Page], rounds: usize) {
    type Checksum = fn(&[u8]) -> u64;
    let compressed = Blobs::of(pages, core_compressor(Codec::Lz4));
    let raw = Blobs::of(pages, core_compressor(Codec::None));
    for (title, blobs) in [("blobs", &compressed), ("raw pages", &raw)] {
        let candidates: [(&'static str, Checksum); 4] = [
            ("xxhash-rust", xxhash_rust::xxh3::xxh3_64),
            ("twox-hash", twox_hash::XxHash3_64::oneshot),
            ("xxHash in C", |blob| {
                // SAFETY: the length is the slice's.
                unsafe { xxhash_c_sys::XXH3_64bits(blob.as_ptr().cast(), blob.len()) }
            }),
            ("zcache-core", zcache_core::codec::checksum),
        ];
        for blob in blobs.iter() {
            let want = candidates[0].1(blob);
            assert!(
                candidates
                    .iter()
                    .all(|(_, checksum)| checksum(blob) == want)
            );
        }
        let mut operations: Vec<Operation> = candidates
            .into_iter()
            .map(|(name, checksum)| Operation {
                name,
                body: Box::new(move || {
                    for blob in blobs.iter() {
                        black_box(checksum(black_box(blob)));
                    }
                }),
            })
            .collect();
        let bytes = blobs.data.len() as f64 / pages.len() as f64;
        println!(
            "\nXXH3-64, {title} ({} of {bytes:.0} bytes in the mean)",
            pages.len()
        );
        let times = run(&mut operations, rounds, pages.len());
        for (operation, time) in operations.iter().zip(&times) {
            print_time(operation.name, time, bytes, "");
        }
    }
}

/// `bytes`: of each page, or blob, for the throughput.
fn print_time(name: &str, time: &Time, bytes: f64, note: &str) {
    let Time { median, best } = time;
    let speed = bytes / median * 1e3;
    println!("  {name:26} {median:7.0} ns median {best:7.0} ns best {speed:7.0} MB/s{note}");
}
