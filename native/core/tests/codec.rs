//! The codec from outside: what encodes, what decodes, and that nothing else does any harm.
//!
//! Covers: every rule of `zcache/codec.py`, blobs equal to the Python backend's (by the golden file
//! that `tests/zcache/test_golden_codec.py` writes), damaged and invented blobs. Does not cover:
//! speed (`native/bench`), longer searches for blobs that do harm (`native/fuzz`).

use proptest::collection::vec;
use proptest::prelude::*;
use zcache_core::codec::{
    Codec, Decoder, Encoded, Encoder, Encoding, PAGE_SIZE, ZSTD_LEVEL, checksum, fill, same_filled,
};
use zstd_safe::{CCtx, CParameter};

type Page = [u8; PAGE_SIZE];

const HUGE_LENGTH: usize = 3625;
const CODECS: [Codec; 3] = [Codec::Lz4, Codec::Zstd, Codec::None];
const ENCODINGS: [Encoding; 4] = [Encoding::Raw, Encoding::Lz4, Encoding::Same, Encoding::Zstd];

/// A blob with its encoding; what [`Encoder::encode`] says otherwise, in `Err`.
fn blob_of(
    encoder: &mut Encoder,
    page: &Page,
    codec: Codec,
    huge_length: usize,
) -> Result<(Vec<u8>, Encoding), Encoded> {
    let mut out = [0xA5; PAGE_SIZE];
    match encoder.encode(page, codec, huge_length, false, &mut out) {
        Encoded::Blob {
            length,
            encoding,
            checksum: sum,
        } => {
            assert_eq!(sum, checksum(&out[..length]));
            Ok((out[..length].to_vec(), encoding))
        }
        other => Err(other),
    }
}

/// Decodes into the middle of a larger buffer, and asserts that the rest of it stays as it was.
fn decoded(decoder: &mut Decoder, blob: &[u8], encoding: Encoding) -> Option<Page> {
    const EDGE: usize = 64;
    let mut around = vec![0x5A; PAGE_SIZE + 2 * EDGE];
    let page: &mut Page = (&mut around[EDGE..EDGE + PAGE_SIZE]).try_into().unwrap();
    // An allocation of exactly the blob's length, so that sanitizers see any read beyond it.
    let exact = blob.to_vec().into_boxed_slice();
    let good = decoder.decode(&exact, encoding, page);
    let page = *page;
    assert!(around[..EDGE].iter().all(|&byte| byte == 0x5A));
    assert!(around[EDGE + PAGE_SIZE..].iter().all(|&byte| byte == 0x5A));
    good.then_some(page)
}

/// Pages of many kinds: random, sparse, periodic, copies of themselves, partly random.
fn pages() -> impl Strategy<Value = Box<Page>> {
    let whole = |bytes: Vec<u8>| -> Box<Page> { bytes.into_boxed_slice().try_into().unwrap() };
    let random = vec(any::<u8>(), PAGE_SIZE).prop_map(whole);
    let sparse = (any::<u64>(), vec((0..PAGE_SIZE, any::<u8>()), 0..64)).prop_map(
        |(pattern, bytes)| -> Box<Page> {
            let mut page = Box::new([0; PAGE_SIZE]);
            fill(&mut page, pattern);
            for (at, byte) in bytes {
                page[at] = byte;
            }
            page
        },
    );
    let periodic = vec(any::<u8>(), 1..300)
        .prop_map(move |period| whole(period.iter().copied().cycle().take(PAGE_SIZE).collect()));
    let copies = (
        vec(any::<u8>(), 1..200),
        vec((0..200_usize, 4..80_usize, any::<u8>()), 1..200),
    )
        .prop_map(move |(mut bytes, steps)| {
            for (back, length, literal) in steps.into_iter().cycle() {
                if bytes.len() >= PAGE_SIZE {
                    break;
                }
                let from = bytes.len().saturating_sub(back + 1);
                for at in from..from + length {
                    bytes.push(bytes[at]);
                }
                bytes.push(literal);
            }
            bytes.truncate(PAGE_SIZE);
            whole(bytes)
        });
    let partly =
        (vec(any::<u8>(), PAGE_SIZE), 0..=PAGE_SIZE).prop_map(move |(mut bytes, noise)| {
            bytes[noise..].fill(0);
            whole(bytes)
        });
    prop_oneof![random, sparse, periodic, copies, partly]
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(CODECS.to_vec())
}

proptest! {
    #[test]
    fn pages_survive_encoding(page in pages(), codec in codecs(), huge_length in 1..4200_usize) {
        match blob_of(&mut Encoder::new(), &page, codec, huge_length) {
            Ok((blob, encoding)) => {
                match encoding {
                    Encoding::Raw => prop_assert_eq!(&blob[..], &page[..]),
                    Encoding::Lz4 => prop_assert_eq!(codec, Codec::Lz4),
                    Encoding::Zstd => prop_assert_eq!(codec, Codec::Zstd),
                    Encoding::Same => prop_assert!(false, "a blob for a same-filled page"),
                }
                prop_assert!(encoding == Encoding::Raw || blob.len() < huge_length);
                prop_assert!(encoding == Encoding::Raw || blob.len() < PAGE_SIZE);
                prop_assert_eq!(decoded(&mut Decoder::new(), &blob, encoding), Some(*page));
            }
            Err(Encoded::Same(pattern)) => {
                let blob = pattern.to_le_bytes();
                let back = decoded(&mut Decoder::new(), &blob, Encoding::Same);
                prop_assert_eq!(back, Some(*page));
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn states_carry_nothing_from_page_to_page(
        work in vec((pages(), codecs(), 1..4200_usize), 1..6)
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (page, codec, huge_length) in work {
            let used = blob_of(&mut encoder, &page, codec, huge_length);
            let fresh = blob_of(&mut Encoder::new(), &page, codec, huge_length);
            prop_assert_eq!(&used, &fresh);
            if let Ok((blob, encoding)) = used {
                // A blob that fails in between leaves nothing behind either.
                decoded(&mut decoder, &blob[..blob.len() / 2], encoding);
                prop_assert_eq!(decoded(&mut decoder, &blob, encoding), Some(*page));
            }
        }
    }

    #[test]
    fn the_limit_decides_only_whether_a_blob_is_kept(page in pages(), codec in codecs()) {
        let mut encoder = Encoder::new();
        let whole = blob_of(&mut encoder, &page, codec, PAGE_SIZE);
        if let Some((blob, encoding)) = whole.ok().filter(|blob| blob.1 != Encoding::Raw) {
            let just_fits = blob_of(&mut encoder, &page, codec, blob.len() + 1);
            prop_assert_eq!(just_fits, Ok((blob.clone(), encoding)));
            let too_long = blob_of(&mut encoder, &page, codec, blob.len());
            prop_assert_eq!(too_long, Ok((page.to_vec(), Encoding::Raw)));
        }
    }

    #[test]
    fn refusing_replaces_only_raw_blobs_of_a_codec(
        page in pages(), codec in codecs(), huge_length in 1..4200_usize
    ) {
        let (mut kept, mut refused) = ([0; PAGE_SIZE], [0; PAGE_SIZE]);
        let mut encoder = Encoder::new();
        let keep = encoder.encode(&page, codec, huge_length, false, &mut kept);
        let refuse = encoder.encode(&page, codec, huge_length, true, &mut refused);
        match keep {
            Encoded::Blob { encoding: Encoding::Raw, .. } if codec != Codec::None => {
                prop_assert_eq!(refuse, Encoded::Refused);
            }
            _ => prop_assert_eq!(refuse, keep),
        }
    }

    #[test]
    fn same_filled_pages_are_found_and_no_others(page in pages()) {
        let mut words = page.chunks_exact(8);
        let first = words.next().unwrap();
        let want = words
            .all(|word| word == first)
            .then(|| u64::from_le_bytes(first.try_into().unwrap()));
        prop_assert_eq!(same_filled(&page), want);
    }

    #[test]
    fn a_pattern_fills_a_page_that_is_found_again(pattern: u64) {
        let mut page = [0xA5; PAGE_SIZE];
        fill(&mut page, pattern);
        prop_assert_eq!(same_filled(&page), Some(pattern));
        for codec in CODECS {
            let blob = blob_of(&mut Encoder::new(), &page, codec, HUGE_LENGTH);
            prop_assert_eq!(blob, Err(Encoded::Same(pattern)));
        }
    }

    #[test]
    fn invented_blobs_do_no_harm(blob in vec(any::<u8>(), 0..6000)) {
        let mut decoder = Decoder::new();
        for encoding in ENCODINGS {
            decoded(&mut decoder, &blob, encoding);
        }
    }

    #[test]
    fn invented_tokens_do_no_harm(
        // Bytes of which LZ4 makes many short sequences, some with offsets before the page.
        blob in vec(prop_oneof![Just(0), Just(1), Just(0x10), Just(0x1F), Just(0xFF), any::<u8>()], 0..900)
    ) {
        let mut decoder = Decoder::new();
        decoded(&mut decoder, &blob, Encoding::Lz4);
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x60, 0x00, 0x0F];
        frame.extend(&blob);
        decoded(&mut decoder, &frame, Encoding::Zstd);
    }
}

proptest! {
    // Each case decodes thousands of blobs.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_part_of_a_blob_is_a_page(page in pages(), codec in codecs()) {
        let mut decoder = Decoder::new();
        if let Ok((blob, encoding)) = blob_of(&mut Encoder::new(), &page, codec, HUGE_LENGTH) {
            for length in 0..blob.len() {
                prop_assert_eq!(decoded(&mut decoder, &blob[..length], encoding), None);
            }
            let mut longer = blob;
            longer.push(0);
            prop_assert_eq!(decoded(&mut decoder, &longer, encoding), None);
        }
    }

    #[test]
    fn flipped_bits_do_no_harm(page in pages(), codec in codecs(), bit in 0..8_u32) {
        let mut decoder = Decoder::new();
        if let Ok((mut blob, encoding)) = blob_of(&mut Encoder::new(), &page, codec, HUGE_LENGTH) {
            for at in 0..blob.len() {
                blob[at] ^= 1 << bit;
                for encoding in [encoding, Encoding::Lz4, Encoding::Zstd] {
                    decoded(&mut decoder, &blob, encoding);
                }
                blob[at] ^= 1 << bit;
            }
            prop_assert_eq!(decoded(&mut decoder, &blob, encoding), Some(*page));
        }
    }
}

#[test]
fn blobs_are_those_of_the_python_backend() {
    let mut encoder = Encoder::new();
    let mut lines = 0;
    for line in include_str!("golden_codec.txt").lines().skip(1) {
        let fields: Vec<&str> = line.split(' ').collect();
        let page = golden_page(fields[0].parse().unwrap());
        assert_eq!(checksum(&page).to_string(), fields[1], "page of {line}");
        let codec = match fields[2] {
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            other => panic!("codec {other}"),
        };
        let mut out = [0; PAGE_SIZE];
        let shown = match encoder.encode(&page, codec, HUGE_LENGTH, false, &mut out) {
            Encoded::Blob {
                length,
                encoding,
                checksum,
            } => format!("{} {length} {checksum}", encoding as u8),
            Encoded::Same(pattern) => format!("{} 8 {pattern}", Encoding::Same as u8),
            Encoded::Refused => unreachable!(),
        };
        assert_eq!(shown, fields[3..].join(" "), "blob of {line}");
        lines += 1;
    }
    assert_eq!(lines, 2 * 96);
}

/// Marsaglia's xorshift generator of 64 bits, with shifts 13, 7, 17; the same in Python.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// The page of a seed in `tests/zcache/test_golden_codec.py`.
fn golden_page(seed: u64) -> Page {
    let mut draws = Draws(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1));
    let mut page = Vec::with_capacity(PAGE_SIZE);
    match seed % 8 {
        0 => {
            let words = [
                "frame", "zspage", "handle", "pool", "object", "index", "page", "lender",
            ];
            while page.len() < PAGE_SIZE {
                page.extend(words[draws.below(8) as usize].bytes());
                page.extend(format!("{} ", draws.below(1000)).bytes());
            }
        }
        1 => {
            let length = draws.below(PAGE_SIZE as u64 + 1) as usize;
            page.extend(draws.noise(length));
            page.resize(PAGE_SIZE, 0);
        }
        2 => {
            page.resize(PAGE_SIZE, 0);
            for _ in 0..draws.below(200) {
                let at = draws.below(PAGE_SIZE as u64) as usize;
                page[at] = draws.below(256) as u8;
            }
        }
        3 => {
            let base = 0x7F00_0000_0000 + draws.below(1 << 20) * 4096;
            for _ in 0..512 {
                page.extend((base + draws.below(64) * 16).to_le_bytes());
            }
        }
        4 => {
            for number in 0..128_u32 {
                page.extend(number.to_le_bytes());
                page.extend(b"record of a table\0");
                page.extend(draws.noise(10));
            }
        }
        5 => {
            let length = 1 + draws.below(64) as usize;
            page = draws.noise(length).repeat(PAGE_SIZE);
        }
        6 => {
            page = draws.noise(8).repeat(512);
            let at = draws.below(PAGE_SIZE as u64) as usize;
            page[at] = draws.below(256) as u8;
        }
        _ => page = draws.noise(PAGE_SIZE),
    }
    page[..PAGE_SIZE].try_into().unwrap()
}

#[test]
fn one_other_byte_makes_it_no_same_filled_page() {
    for at in [0, 7, 8, 2048, 4087, 4088, 4095] {
        let mut page = [0; PAGE_SIZE];
        page[at] = 1;
        assert_eq!(same_filled(&page), None, "byte {at}");
    }
}

#[test]
fn patterns_are_little_endian_and_of_eight_bytes() {
    let mut decoder = Decoder::new();
    let page = decoded(&mut decoder, &[1, 2, 3, 4, 5, 6, 7, 8], Encoding::Same).unwrap();
    assert_eq!(page[..10], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]);
    assert_eq!(same_filled(&page), Some(0x0807_0605_0403_0201));
    for length in [0, 7, 9, PAGE_SIZE] {
        let blob = vec![0; length];
        assert_eq!(decoded(&mut decoder, &blob, Encoding::Same), None);
    }
}

#[test]
fn blocks_of_less_or_more_than_a_page_are_refused() {
    let mut decoder = Decoder::new();
    // One literal, one match of all the rest at offset 1, five last literals.
    let block_of = |length: usize| {
        let mut rest = length - 1 - 5 - 19;
        let mut block = vec![0x1F, 7, 1, 0];
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(rest as u8);
        block.extend([0x50, 7, 7, 7, 7, 7]);
        block
    };
    let page = decoded(&mut decoder, &block_of(PAGE_SIZE), Encoding::Lz4);
    assert_eq!(page, Some([7; PAGE_SIZE]));
    for length in [PAGE_SIZE - 1, PAGE_SIZE + 1, 2 * PAGE_SIZE, 1 << 20] {
        let block = block_of(length);
        assert_eq!(decoded(&mut decoder, &block, Encoding::Lz4), None);
    }
}

#[test]
fn frames_of_less_or_more_than_a_page_are_refused() {
    let mut decoder = Decoder::new();
    let frame_of = |length: usize, content_size: bool| {
        let mut context = CCtx::create();
        let level = CParameter::CompressionLevel(ZSTD_LEVEL);
        context.set_parameter(level).unwrap();
        let size = CParameter::ContentSizeFlag(content_size);
        context.set_parameter(size).unwrap();
        let mut frame = vec![0; 8192];
        let content: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
        let length = context.compress2(&mut frame[..], &content).unwrap();
        frame.truncate(length);
        frame
    };
    let whole = frame_of(PAGE_SIZE, true);
    assert!(decoded(&mut decoder, &whole, Encoding::Zstd).is_some());
    for length in [0, 1, PAGE_SIZE - 1, PAGE_SIZE + 1, 2 * PAGE_SIZE] {
        let frame = frame_of(length, true);
        assert_eq!(decoded(&mut decoder, &frame, Encoding::Zstd), None);
    }
    // Frames that do not say their size, and what is not exactly one frame.
    let unsized_frame = frame_of(PAGE_SIZE, false);
    assert_eq!(decoded(&mut decoder, &unsized_frame, Encoding::Zstd), None);
    let half = frame_of(PAGE_SIZE / 2, true);
    let two = [&half[..], &half].concat();
    assert_eq!(decoded(&mut decoder, &two, Encoding::Zstd), None);
    let skippable = [0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9];
    for frames in [
        [&skippable[..], &whole].concat(),
        [&whole[..], &skippable].concat(),
        skippable.to_vec(),
    ] {
        assert_eq!(decoded(&mut decoder, &frames, Encoding::Zstd), None);
    }
}

#[test]
fn the_empty_blob_is_no_page() {
    for encoding in ENCODINGS {
        assert_eq!(decoded(&mut Decoder::new(), &[], encoding), None);
    }
}

#[test]
#[should_panic(expected = "range end index 4096")]
fn a_buffer_shorter_than_a_page_panics() {
    Encoder::new().encode(
        &[0; PAGE_SIZE],
        Codec::Lz4,
        HUGE_LENGTH,
        false,
        &mut [0; PAGE_SIZE - 1],
    );
}

#[test]
fn the_checksum_is_xxh3_with_seed_0() {
    // The test vector of xxHash's own documentation for no input at all.
    assert_eq!(checksum(&[]), 0x2D06_8005_38D3_94C2);
}

#[test]
fn states_can_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    sent(&Encoder::new());
    sent(&Decoder::new());
}
