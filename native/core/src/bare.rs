//! LZ4 alone, in a loop over pages without a cache: what the cache's own cost is measured against.

use crate::liblz4::{Compressor, decompress};
use crate::page::PAGE_SIZE;

/// Room for any page as one block: `LZ4_COMPRESSBOUND(4096)`.
const BLOCK_BOUND: usize = PAGE_SIZE + PAGE_SIZE / 255 + 16;

/// Compress each page by itself; the length of each block, and all blocks back to back if `keep`.
pub fn compress_pages(pages: &[u8], keep: bool) -> (Vec<u16>, Vec<u8>) {
    let mut compressor = Compressor::new();
    let mut block = [0; BLOCK_BOUND];
    let mut lengths = Vec::with_capacity(pages.len() / PAGE_SIZE);
    let mut blocks = Vec::new();
    for page in pages.chunks_exact(PAGE_SIZE) {
        let length = compressor
            .compress(page, &mut block)
            .expect("the bound is enough");
        lengths.push(length as u16);
        if keep {
            blocks.extend_from_slice(&block[..length]);
        }
    }
    (lengths, blocks)
}

/// Decompress blocks that lie back to back, each to its page of `into`; how many are whole pages.
///
/// Panics if there are more blocks than bytes or than room for pages.
pub fn decompress_pages(lengths: &[u16], blocks: &[u8], into: &mut [u8]) -> usize {
    let mut start = 0;
    let mut whole = 0;
    for (length, page) in lengths.iter().zip(into.chunks_exact_mut(PAGE_SIZE)) {
        let block = &blocks[start..start + usize::from(*length)];
        start += block.len();
        whole += usize::from(decompress(block, page) == Some(PAGE_SIZE));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_from_their_blocks() {
        let pages: Vec<u8> = (0..3 * PAGE_SIZE).map(|at| (at / 7 % 251) as u8).collect();
        let (lengths, blocks) = compress_pages(&pages, true);
        let mut into = vec![0; pages.len()];
        assert_eq!(decompress_pages(&lengths, &blocks, &mut into), 3);
        assert_eq!(into, pages);
        assert_eq!(compress_pages(&pages, false), (lengths, vec![]));
    }
}
