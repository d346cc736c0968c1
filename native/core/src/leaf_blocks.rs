//! The entry numbers of leaves: blocks of 1, 2, 4 .. 64 numbers, kept without gaps.
//!
//! Covers: taking a block, giving one back. Does not cover: whose block it is (`index.rs`): when
//! the last block of a size moves into a gap, the caller is told, and finds its leaf by any entry
//! in it.

use crate::chunk::Chunk;

/// Sizes: blocks of `1 << size` numbers.
pub const SIZES: usize = 7;

const CHUNK_SHIFT: usize = 14;
const CHUNK: usize = 1 << CHUNK_SHIFT;

/// A block: its size in the three highest bits, its number within that size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block(u32);

impl Block {
    const NUMBER: u32 = (1 << 29) - 1;

    fn new(size: usize, number: usize) -> Self {
        assert!(number <= Self::NUMBER as usize, "too many leaves");
        Block((size as u32) << 29 | number as u32)
    }

    #[inline]
    fn size(self) -> usize {
        (self.0 >> 29) as usize
    }

    #[inline]
    fn number(self) -> usize {
        (self.0 & Self::NUMBER) as usize
    }

    /// How many entries it has room for.
    #[inline]
    pub fn capacity(self) -> usize {
        1 << self.size()
    }
}

/// All blocks.
#[derive(Default)]
pub struct LeafBlocks {
    chunks: [Vec<Chunk<u32>>; SIZES],
    counts: [usize; SIZES],
}

impl LeafBlocks {
    /// A block for so many numbers, 1..=64; its content is what was there before.
    pub fn take(&mut self, numbers: usize) -> Block {
        let size = numbers.next_power_of_two().trailing_zeros() as usize;
        let number = self.counts[size];
        self.counts[size] += 1;
        if number << size >> CHUNK_SHIFT == self.chunks[size].len() {
            self.chunks[size].push(Chunk::new(CHUNK));
        }
        Block::new(size, number)
    }

    /// The numbers of a block.
    #[inline]
    pub fn get(&self, block: Block) -> &[u32] {
        let start = block.number() << block.size();
        let within = start & (CHUNK - 1);
        &self.chunks[block.size()][start >> CHUNK_SHIFT][within..within + block.capacity()]
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, block: Block) -> &mut [u32] {
        let start = block.number() << block.size();
        let within = start & (CHUNK - 1);
        &mut self.chunks[block.size()][start >> CHUNK_SHIFT][within..within + block.capacity()]
    }

    /// Give a block back. The block that moved into its place, if one did: its leaf is to be told.
    pub fn give_back(&mut self, block: Block) -> Option<Block> {
        let size = block.size();
        self.counts[size] -= 1;
        let last = Block::new(size, self.counts[size]);
        let moved = last != block;
        if moved {
            let mut numbers = [0; 64];
            let numbers = &mut numbers[..block.capacity()];
            numbers.copy_from_slice(self.get(last));
            self.get_mut(block).copy_from_slice(numbers);
        }
        // One chunk more than needed stays, so that a leaf that comes and goes costs no memory
        // traffic.
        let needed = ((self.counts[size] << size) + CHUNK - 1) >> CHUNK_SHIFT;
        if self.chunks[size].len() > needed + 1 {
            self.chunks[size].pop();
        }
        moved.then_some(block)
    }

    /// Bytes of all blocks.
    pub fn metadata_bytes(&self) -> usize {
        let chunk = CHUNK * size_of::<u32>() + size_of::<Chunk<u32>>();
        self.chunks.iter().map(|chunks| chunks.len() * chunk).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_given_back_is_filled_by_the_last_one_of_its_size() {
        let mut blocks = LeafBlocks::default();
        let (first, second) = (blocks.take(3), blocks.take(4));
        assert_eq!((first.capacity(), second.capacity()), (4, 4));
        blocks.get_mut(second).copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(blocks.give_back(first), Some(first));
        assert_eq!(blocks.get(first), [1, 2, 3, 4]);
        assert_eq!(blocks.give_back(first), None);
    }

    #[test]
    fn memory_of_blocks_that_are_gone_is_given_back() {
        let mut blocks = LeafBlocks::default();
        let before = blocks.metadata_bytes();
        let taken: Vec<Block> = (0..4096).map(|_| blocks.take(64)).collect();
        assert!(blocks.metadata_bytes() >= before + 4096 * 256);
        for block in taken.into_iter().rev() {
            assert_eq!(blocks.give_back(block), None);
        }
        assert!(blocks.metadata_bytes() <= before + 2 * (CHUNK * 4 + 16));
    }
}
