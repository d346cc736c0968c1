//! Reading pages: what is under a handle, as a page, as an away page, or as nothing.
//!
//! Covers: runs of gets, whether they free, how they are counted. Does not cover: fetching pages
//! that are away (the layer above; `repatriation.rs` takes them back).
//!
//! Gets that leave their pages run side by side: blobs are verified and decoded where they lie,
//! under the shared lock. Memory is what a get waits for, so a run is looked up first, then its
//! blobs are hinted at, then decoded.

use crate::codec::{Decoder, Encoding, checksum, fill};
use crate::entries::Entries;
use crate::entry::{AWAY, ENCODING_MASK, SAME_FILLED, STATE_MASK};
use crate::index::{LeafCursor, Pool};
use crate::page::{AwayPages, GetFree, Indexes, ObjectId, PAGE_SIZE, PageState};

/// Pages that are looked up and hinted at together.
pub const GET_RUN: usize = 16;

/// Where the pages of a batch go, and what is said of each.
pub struct Answers<'a> {
    /// Room for every page of the batch.
    pub into: &'a mut [u8],
    /// One `PageState` a page.
    pub states: &'a mut [u8],
    /// Those that are away.
    pub away: AwayPages,
}

impl Answers<'_> {
    fn page(&mut self, at: usize) -> &mut [u8; PAGE_SIZE] {
        let page = &mut self.into[at * PAGE_SIZE..(at + 1) * PAGE_SIZE];
        page.try_into().expect("cut to size")
    }
}

/// The encoding of an entry's blob.
pub fn encoding_of(flags: u8) -> Encoding {
    match flags & ENCODING_MASK {
        0 => Encoding::Raw,
        1 => Encoding::Lz4,
        2 => Encoding::Same,
        _ => Encoding::Zstd,
    }
}

/// Whether a get frees what it finds.
pub fn frees(pool: &Pool, free: GetFree) -> bool {
    match free {
        GetFree::ByKind => pool.frees_on_get,
        GetFree::Always => true,
        GetFree::Never => false,
    }
}

impl Entries {
    /// Look up the pages from `start` to before `stop` of a batch, at most `GET_RUN` of them, and
    /// answer.
    pub fn read_run(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        range: std::ops::Range<usize>,
        answers: &mut Answers<'_>,
        decoder: &mut Decoder,
    ) {
        let pages = range.len() as u64;
        let Some(number) = self.index.object_number(pool, object) else {
            answers.states[range].fill(PageState::Absent as u8);
            self.gets.add(0, pages, 0, 0);
            return;
        };
        let mut entries = [0u32; GET_RUN];
        let mut cursor = LeafCursor::default();
        for at in range.clone() {
            let entry = self.index.lookup(number, indexes.at(at), &mut cursor);
            entries[at - range.start] = entry;
            self.table.prefetch(entry);
        }
        for entry in &entries[..range.len()] {
            let page = &self.table[*entry];
            if *entry != 0 && !matches!(page.state(), AWAY | SAME_FILLED) {
                self.zsmalloc.prefetch(page.location(), page.length());
            }
        }
        let (mut hits, mut away, mut corrupt) = (0, 0, 0);
        for at in range.clone() {
            let entry = entries[at - range.start];
            let state = match entry {
                0 => PageState::Absent,
                _ => self.read_entry(entry, at, answers, decoder),
            };
            answers.states[at] = state as u8;
            match state {
                PageState::Absent => {}
                PageState::Present => hits += 1,
                PageState::Away => away += 1,
                PageState::Corrupt => corrupt += 1,
            }
        }
        self.gets
            .add(hits, pages - hits - away - corrupt, away, corrupt);
    }

    #[inline]
    fn read_entry(
        &self,
        entry: u32,
        at: usize,
        answers: &mut Answers<'_>,
        decoder: &mut Decoder,
    ) -> PageState {
        let page = &self.table[entry];
        let flags = page.flags();
        match flags & STATE_MASK {
            AWAY => {
                self.append_away(&mut answers.away, at as u64, entry);
                PageState::Away
            }
            SAME_FILLED => {
                fill(answers.page(at), page.pattern());
                PageState::Present
            }
            _ => {
                page.refer();
                let blob = self.zsmalloc.read(page.location(), page.length());
                let good = checksum(blob) as u32 == page.checksum_low()
                    && decoder.decode(blob, encoding_of(flags), answers.page(at));
                if good {
                    PageState::Present
                } else {
                    PageState::Corrupt
                }
            }
        }
    }

    /// A get that frees: as `read_run` for one page, and a page that was found is dropped; a
    /// corrupt one stays.
    pub fn read_freeing(
        &mut self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        at: usize,
        answers: &mut Answers<'_>,
        decoder: &mut Decoder,
    ) {
        self.note_peaks();
        self.read_run(pool, object, indexes, at..at + 1, answers, decoder);
        if answers.states[at] == PageState::Present as u8 {
            let entry = self.find(pool, object, indexes.at(at));
            self.drop_page(entry);
        }
    }
}
