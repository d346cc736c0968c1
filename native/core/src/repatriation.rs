//! Pages that are away: their stubs, and the way home.
//!
//! Covers: looking at stubs, installing fetched blobs, forgetting, scanning by place, entering that
//! a copy moved. Does not cover: fetching (the layer above), leaving (`spill.rs`), decoding, which
//! runs outside of the lock (`cache.rs`).

use crate::entries::Entries;
use crate::entry::{AWAY, ENCODING_MASK, FOREIGN, PERSISTENT, STATE_MASK};
use crate::page::{AwayPages, Blobs, Indexes, ObjectId, PoolKind, RestoreStatus, place_of};

/// Entries that are looked at under one lock.
pub const SCAN_CHUNK: u32 = 4096;
/// Entries that one call of `scan` looks at.
pub const SCAN_MAX: u32 = 16 * SCAN_CHUNK;

/// Names of pages: pool id, object id, index.
pub type Handles = Vec<(u32, ObjectId, u64)>;

impl Entries {
    /// The pages of a batch that are away.
    pub fn peek(&self, pool: u32, object: &ObjectId, indexes: Indexes<'_>) -> AwayPages {
        let mut pages = AwayPages::default();
        for position in 0..indexes.len() {
            let entry = self.find(pool, object, indexes.at(position));
            if entry != 0 && self.table[entry].state() == AWAY {
                self.append_away(&mut pages, position as u64, entry);
            }
        }
        pages
    }

    /// The entry that is away and that a blob's key and generation name, or 0.
    pub fn stub(
        &self,
        pool: u32,
        object: &ObjectId,
        index: u64,
        blobs: &Blobs<'_>,
        row: usize,
    ) -> u32 {
        let entry = self.find(pool, object, index);
        let page = &self.table[entry];
        let named = entry != 0
            && u64::from(entry) == blobs.keys[row]
            && page.state() == AWAY
            && page.generation == blobs.generations[row];
        if named { entry } else { 0 }
    }

    /// Whether a blob's other columns are its stub's.
    pub fn matches(&self, entry: u32, blobs: &Blobs<'_>, row: usize) -> bool {
        let page = &self.table[entry];
        page.length() == usize::from(blobs.lengths[row])
            && page.checksum() == blobs.checksums[row]
            && page.flags() & ENCODING_MASK == blobs.encodings[row]
    }

    /// Which rows of fetched blobs are those of their stubs.
    pub fn match_blobs(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        blobs: &Blobs<'_>,
    ) -> Vec<RestoreStatus> {
        let status = |row| match self.stub(pool, object, indexes.at(row), blobs, row) {
            0 => RestoreStatus::Stale,
            entry if self.matches(entry, blobs, row) => RestoreStatus::Restored,
            _ => RestoreStatus::Corrupt,
        };
        (0..indexes.len()).map(status).collect()
    }

    /// Free a verified page, or make it local if there is room, or leave it away.
    pub fn settle(&mut self, entry: u32, blob: &[u8], frees: bool, install: bool) {
        if frees {
            self.drop_page(entry);
            self.counters.pages_restored += 1;
            return;
        }
        if !install || self.frozen {
            return;
        }
        let limit = self.frames_under(self.config.high_watermark);
        let Some(at) = self.zsmalloc.store(blob, entry, limit) else {
            return;
        };
        let page = &self.table[entry];
        let flags = page.flags() & (PERSISTENT | ENCODING_MASK);
        let (checksum, generation) = (page.checksum(), page.generation);
        self.release(entry);
        self.fill_local(entry, flags, blob.len(), checksum, at, generation);
        self.counters.pages_restored += 1;
    }

    /// Drop a stub whose copy is gone; false if the page changed since.
    pub fn forget(&mut self, pool: u32, object: &ObjectId, index: u64, generation: u64) -> bool {
        let entry = self.find(pool, object, index);
        let page = &self.table[entry];
        if entry == 0 || page.state() != AWAY || page.generation != generation {
            return false;
        }
        self.forget_stub(entry);
        true
    }

    /// Drop own pages of a kind away at a place among the entries from `cursor` on; how many, and
    /// the next cursor.
    pub fn forget_chunk(&mut self, place: u32, kind: PoolKind, cursor: u32) -> (u64, Option<u32>) {
        let left = self.away.get(&place).map_or(0, |pair| pair[kind as usize]);
        if left == 0 || cursor >= self.table.len() {
            return (0, None);
        }
        let wanted = AWAY
            | if kind == PoolKind::Persistent {
                PERSISTENT
            } else {
                0
            };
        let mut forgotten = 0;
        for entry in self.table.range(cursor, cursor.saturating_add(SCAN_CHUNK)) {
            let page = &self.table[entry];
            if page.flags() & (STATE_MASK | FOREIGN | PERSISTENT) == wanted
                && place_of(page.whereabouts()) == place
            {
                self.forget_stub(entry);
                forgotten += 1;
            }
        }
        (forgotten, Some(cursor.saturating_add(SCAN_CHUNK)))
    }

    /// Pages away at a place, among a chunk of entries from `cursor` on; the next cursor, 0 at the
    /// end. None: the chunk was seen to its end and the scan goes on behind it.
    pub fn scan_chunk(
        &self,
        place: u32,
        cursor: u64,
        pages_max: usize,
        handles: &mut Handles,
        pages: &mut AwayPages,
    ) -> Option<u64> {
        if !self.away.contains_key(&place) || cursor >= u64::from(self.table.len()) {
            return Some(0);
        }
        let cursor = cursor as u32;
        for entry in self.table.range(cursor, cursor.saturating_add(SCAN_CHUNK)) {
            let page = &self.table[entry];
            if page.state() == AWAY && place_of(page.whereabouts()) == place {
                if handles.len() >= pages_max {
                    return Some(u64::from(entry));
                }
                let owner = self.index.owner(&self.table, entry);
                handles.push((
                    owner.pool,
                    owner.id,
                    self.index.index_of(&self.table, entry),
                ));
                self.append_away(pages, pages.len() as u64, entry);
            }
        }
        None
    }

    /// Set the word of a stub if it is still what the caller saw.
    pub fn move_one(&mut self, key: u64, generation: u64, whereabouts: u64, to: u64) -> bool {
        if key == 0 || !self.table.has(key) || place_of(to) == 0 {
            return false;
        }
        let entry = key as u32;
        let page = &mut self.table[entry];
        let flags = page.flags();
        if flags & (STATE_MASK | FOREIGN) != AWAY
            || page.generation != generation
            || page.whereabouts() != whereabouts
        {
            return false;
        }
        page.set_whereabouts(to);
        self.count_away(whereabouts, flags, -1);
        self.count_away(to, flags, 1);
        self.counters.pages_moved += 1;
        true
    }
}
