//! The page table: entries by number, the recency queues threaded through them, and sums by state.
//!
//! Covers: numbers and their reuse, queues, counts of pages and bytes, giving memory of unused
//! entries back. Does not cover: handles (`index.rs`), blobs (`zsmalloc.rs`).
//!
//! Entry 0 is the head of the list of free entries, 1..=4 are the heads of the circular queues
//! (oldest page next to the head), pages start at 5. An entry's number is the key by which lenders
//! know the page.

use crate::chunk::Chunk;
use crate::entry::{
    COUNT_MASK, Entry, FOREIGN, FREE, LOCAL, PERSISTENT, REFERENCED, SAME_FILLED, STATE_MASK,
    queue_of,
};

/// Heads of queues: 1..=QUEUES.
pub const QUEUES: u32 = 4;
/// The first entry that may hold a page.
pub const FIRST_PAGE: u32 = QUEUES + 1;

const GROW_MIN: u32 = 1024;
const GROW_MAX: u32 = 16384;
const CHUNK_SHIFT: u32 = 12;
const CHUNK: u32 = 1 << CHUNK_SHIFT;
/// Tables of up to so many entries (2 MiB) are not trimmed while they hold a page.
const TRIM_MIN: u32 = 65536;

/// All entries.
pub struct PageTable {
    chunks: Vec<Chunk<Entry>>,
    /// Entries that there are, heads and free ones included.
    len: u32,
    /// Entries from here on were never used since the table grew.
    fresh: u32,
    /// Entries on the free list.
    free: u32,
    /// The highest generation that was given out.
    pub generation: u64,
    /// Pages, by flags & COUNT_MASK.
    pub counts: [u64; 256],
    /// Bytes of their blobs.
    pub bytes: [u64; 256],
}

impl Default for PageTable {
    fn default() -> Self {
        Self::new()
    }
}

impl PageTable {
    /// A table without pages.
    pub fn new() -> Self {
        let mut table = PageTable {
            chunks: Vec::new(),
            len: 0,
            fresh: 0,
            free: 0,
            generation: 0,
            counts: [0; 256],
            bytes: [0; 256],
        };
        table.start();
        table
    }

    fn start(&mut self) {
        self.len = FIRST_PAGE;
        self.fresh = FIRST_PAGE;
        self.free = 0;
        self.reach(FIRST_PAGE);
        for head in 0..FIRST_PAGE {
            self[head].set_prev(head);
            self[head].set_next(head);
        }
    }

    fn reach(&mut self, len: u32) {
        while (self.chunks.len() as u64) << CHUNK_SHIFT < u64::from(len) {
            self.chunks.push(Chunk::new(CHUNK as usize));
        }
    }

    /// Entries that there are, in any state.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The next fresh generation.
    pub fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// A free entry, the last freed first.
    pub fn take(&mut self) -> u32 {
        let entry = self[0].next();
        if entry != 0 {
            self.unlink(entry);
            self.free -= 1;
            return entry;
        }
        if self.fresh == self.len {
            // The steps are those of zcache/page_table.py, so that both scan in the same steps.
            let more = (self.len >> 4).clamp(GROW_MIN, GROW_MAX);
            self.len = self.len.checked_add(more).expect("fewer than 2^32 pages");
        }
        self.fresh += 1;
        self.reach(self.fresh);
        self.fresh - 1
    }

    /// Put an entry on the list of free ones.
    pub fn give_back(&mut self, entry: u32) {
        self[entry].set_flags(FREE);
        self.prepend(entry, 0);
        self.free += 1;
    }

    /// Give the memory back once no page is left.
    pub fn shrink_if_empty(&mut self) {
        if self.len > 4 * GROW_MIN && self.counts.iter().all(|count| *count == 0) {
            self.chunks.clear();
            self.chunks.shrink_to_fit();
            self.start();
        }
    }

    /// Whether an entry can hold a page, or did.
    pub fn has(&self, entry: u64) -> bool {
        entry < u64::from(self.fresh)
    }

    /// The entries that may hold pages, from `start` to before `stop`.
    pub fn range(&self, start: u32, stop: u32) -> std::ops::Range<u32> {
        start.max(FIRST_PAGE).min(self.fresh)..stop.min(self.fresh)
    }

    /// Hint that an entry will be read.
    #[inline]
    pub fn prefetch(&self, entry: u32) {
        crate::prefetch::line(&self[entry]);
    }

    // -- queues -----------------------------------------------------------------------------------

    /// Make an entry the most recent of a queue.
    pub fn append(&mut self, entry: u32, queue: u32) {
        let last = self[queue].prev();
        self[last].set_next(entry);
        self[entry].set_prev(last);
        self[entry].set_next(queue);
        self[queue].set_prev(entry);
    }

    /// Make an entry the coldest of a queue.
    pub fn prepend(&mut self, entry: u32, queue: u32) {
        let first = self[queue].next();
        self[first].set_prev(entry);
        self[entry].set_next(first);
        self[entry].set_prev(queue);
        self[queue].set_next(entry);
    }

    /// Take an entry off its queue.
    pub fn unlink(&mut self, entry: u32) {
        let (before, after) = (self[entry].prev(), self[entry].next());
        self[before].set_next(after);
        self[after].set_prev(before);
    }

    /// The coldest page of a queue (0: none); `passes`: how many pages may still be spared.
    ///
    /// A page that was hit since it was last passed over is passed over once more.
    pub fn coldest(&mut self, queue: u32, passes: &mut u32) -> u32 {
        loop {
            let entry = self[queue].next();
            if entry == queue {
                return 0;
            }
            let flags = self[entry].flags();
            if flags & REFERENCED == 0 || *passes == 0 {
                return entry;
            }
            *passes -= 1;
            self[entry].set_flags(flags & !REFERENCED);
            self.unlink(entry);
            self.append(entry, queue);
        }
    }

    // -- sums -------------------------------------------------------------------------------------

    /// Pages in a state.
    pub fn count(&self, state: u8, foreign: bool) -> u64 {
        let at = state | if foreign { FOREIGN } else { 0 };
        self.counts[usize::from(at)] + self.counts[usize::from(at | PERSISTENT)]
    }

    /// Bytes of blobs of pages in a state.
    pub fn byte_count(&self, state: u8, foreign: bool) -> u64 {
        let at = state | if foreign { FOREIGN } else { 0 };
        self.bytes[usize::from(at)] + self.bytes[usize::from(at | PERSISTENT)]
    }

    /// Count a page that came to be as it is.
    pub fn count_in(&mut self, flags: u8, length: usize) {
        let at = usize::from(flags & COUNT_MASK);
        self.counts[at] += 1;
        self.bytes[at] += length as u64;
    }

    /// Count a page out that is no more what it was.
    pub fn count_out(&mut self, flags: u8, length: usize) {
        let at = usize::from(flags & COUNT_MASK);
        self.counts[at] -= 1;
        self.bytes[at] -= length as u64;
    }

    /// Set a page's state, clear REFERENCED, keep the sums; returns the new flags.
    pub fn change_state(&mut self, entry: u32, state: u8) -> u8 {
        let (old, length) = (self[entry].flags(), self[entry].length());
        let new = (old & !(STATE_MASK | REFERENCED)) | state;
        self.count_out(old, length);
        self.count_in(new, length);
        self[entry].set_flags(new);
        new
    }

    // -- memory -----------------------------------------------------------------------------------

    /// Whether `trim_chunk` may help: over a quarter of a table that is not small is free.
    pub fn is_sparse(&self) -> bool {
        self.len > TRIM_MIN && self.free > self.fresh / 4
    }

    /// Move the pages of the last chunk to free entries before it and give its memory back; false
    /// if that cannot be.
    ///
    /// Pages that are away or in transit are known to others by their number, and stay: a chunk
    /// that has one stays too. `moved` is told of each page that has another number, after the
    /// move.
    pub fn trim_chunk(&mut self, mut moved: impl FnMut(&mut PageTable, u32, u32)) -> bool {
        let Some(last) = (self.fresh - 1)
            .checked_shr(CHUNK_SHIFT)
            .filter(|last| *last > 0)
        else {
            return false;
        };
        let (start, stop) = (last << CHUNK_SHIFT, self.fresh);
        let mut staying = 0;
        for entry in start..stop {
            match self[entry].state() {
                FREE => {}
                LOCAL | SAME_FILLED => staying += 1,
                _ => return false,
            }
        }
        let free_here = stop - start - staying;
        if self.free - free_here < staying {
            return false;
        }
        for entry in start..stop {
            if self[entry].state() == FREE {
                self.unlink(entry);
            }
        }
        self.free -= free_here;
        for entry in start..stop {
            if self[entry].state() != FREE {
                let to = self.take();
                self.renumber(entry, to);
                moved(self, entry, to);
            }
        }
        self.chunks.pop();
        self.fresh = start;
        self.len = start;
        true
    }

    fn renumber(&mut self, entry: u32, to: u32) {
        let on_queue = self[entry].state() == LOCAL;
        let mut page = std::mem::take(&mut self[entry]);
        if on_queue {
            self[page.prev()].set_next(to);
            self[page.next()].set_prev(to);
        }
        self[to].take_over(&mut page);
    }

    /// Bytes of the table.
    pub fn metadata_bytes(&self) -> usize {
        self.chunks.len() * CHUNK as usize * size_of::<Entry>()
            + self.chunks.capacity() * size_of::<Chunk<Entry>>()
    }

    /// What does not add up in queues and the list of free entries.
    pub fn verify(&self) -> Vec<String> {
        let mut found = Vec::new();
        for queue in 0..FIRST_PAGE {
            let wanted = if queue == 0 {
                self.range(0, self.fresh)
                    .filter(|e| self[*e].state() == FREE)
                    .count()
            } else {
                let on_queue = |e: &u32| {
                    let flags = self[*e].flags();
                    flags & STATE_MASK == LOCAL && queue_of(flags) == queue
                };
                self.range(0, self.fresh).filter(on_queue).count()
            };
            let (mut seen, mut entry) = (0, self[queue].next());
            while entry != queue && seen <= wanted {
                let flags = self[entry].flags();
                let belongs = match queue {
                    0 => flags & STATE_MASK == FREE,
                    _ => flags & STATE_MASK == LOCAL && queue_of(flags) == queue,
                };
                if self[self[entry].next()].prev() != entry {
                    found.push(format!("queue {queue} is broken at entry {entry}"));
                    break;
                }
                if !belongs {
                    found.push(format!(
                        "entry {entry} is on queue {queue} and does not belong there"
                    ));
                }
                seen += 1;
                entry = self[entry].next();
            }
            if seen != wanted {
                found.push(format!(
                    "queue {queue} does not hold just its {wanted} entries"
                ));
            }
            if queue == 0 && wanted != self.free as usize {
                found.push(format!("{wanted} entries are free, {} counted", self.free));
            }
        }
        found
    }
}

impl std::ops::Index<u32> for PageTable {
    type Output = Entry;
    #[inline]
    fn index(&self, entry: u32) -> &Entry {
        &self.chunks[(entry >> CHUNK_SHIFT) as usize][(entry & (CHUNK - 1)) as usize]
    }
}

impl std::ops::IndexMut<u32> for PageTable {
    #[inline]
    fn index_mut(&mut self, entry: u32) -> &mut Entry {
        &mut self.chunks[(entry >> CHUNK_SHIFT) as usize][(entry & (CHUNK - 1)) as usize]
    }
}
