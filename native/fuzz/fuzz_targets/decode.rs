//! Any bytes as a blob of any encoding: the first byte is the encoding, the rest the blob.
//!
//! What decodes is a page, so it is encoded with every codec and has to come back.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use zcache_core::codec::{Codec, Decoder, Encoded, Encoder, Encoding, PAGE_SIZE, checksum, fill};

const HUGE_LENGTH: usize = 3625;

thread_local! {
    static STATES: RefCell<(Encoder, Decoder)> = RefCell::new((Encoder::new(), Decoder::new()));
}

fuzz_target!(|input: &[u8]| {
    let Some((&encoding, blob)) = input.split_first() else {
        return;
    };
    let encoding = match encoding % 4 {
        0 => Encoding::Raw,
        1 => Encoding::Lz4,
        2 => Encoding::Same,
        _ => Encoding::Zstd,
    };
    // Allocations of their own, of exactly these lengths, so that the sanitizer sees any byte beyond.
    let blob = Box::<[u8]>::from(blob);
    let mut page = Box::new([0; PAGE_SIZE]);
    STATES.with_borrow_mut(|(encoder, decoder)| {
        if decoder.decode(&blob, encoding, &mut page) {
            for codec in [Codec::Lz4, Codec::Zstd, Codec::None] {
                comes_back(encoder, decoder, &page, codec);
            }
        }
    });
});

fn comes_back(encoder: &mut Encoder, decoder: &mut Decoder, page: &[u8; PAGE_SIZE], codec: Codec) {
    let mut out = Box::new([0; PAGE_SIZE]);
    let mut back = Box::new([0; PAGE_SIZE]);
    match encoder.encode(page, codec, HUGE_LENGTH, false, &mut out[..]) {
        Encoded::Blob {
            length,
            encoding,
            checksum: sum,
        } => {
            assert!(encoding == Encoding::Raw || length < HUGE_LENGTH);
            assert_eq!(sum, checksum(&out[..length]));
            let blob = Box::<[u8]>::from(&out[..length]);
            assert!(decoder.decode(&blob, encoding, &mut back));
        }
        Encoded::Same(pattern) => fill(&mut back, pattern),
        Encoded::Refused => panic!("refused, unasked"),
    }
    assert!(*page == *back);
}
