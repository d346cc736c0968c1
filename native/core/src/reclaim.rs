//! Making room: compaction, then ephemeral pages, coldest first with second chance.
//!
//! Covers: what is given up for an own page that needs a frame, and in which order; lowering the
//! limits. Does not cover: spilling, which is for the layer above to start (`spill.rs`). The order
//! is that of `zcache/reclaim.py`.

use crate::entries::Entries;
use crate::entry::{FOREIGN, queue_of};
use crate::zsmalloc::Location;

/// Pages that one call passes over at most; after that a bit no longer protects.
pub const PASSES_MAX: u32 = 1024;

const EPHEMERAL_QUEUES: [u32; 2] = [queue_of(FOREIGN), queue_of(0)];

impl Entries {
    /// Drop one ephemeral page, foreign before own. None: there is none; else the class of the slot
    /// that it frees.
    pub fn drop_coldest_ephemeral(&mut self) -> Option<usize> {
        for queue in EPHEMERAL_QUEUES {
            let mut passes = PASSES_MAX;
            let entry = self.table.coldest(queue, &mut passes);
            if entry != 0 {
                return self.drop_ephemeral(entry);
            }
        }
        None
    }

    /// Drop an ephemeral page and count it.
    pub fn drop_ephemeral(&mut self, entry: u32) -> Option<usize> {
        if self.table[entry].flags() & FOREIGN != 0 {
            self.counters.foreign_ephemeral_evicted += 1;
        } else {
            self.counters.ephemeral_evicted += 1;
        }
        self.drop_page(entry)
    }

    /// Store an own page's blob, making room for it.
    ///
    /// May drop any ephemeral page, so what was looked up before is to be looked up again.
    pub fn store_with_room(&mut self, blob: &[u8], entry: u32) -> Option<Location> {
        let frames_max = self.zsmalloc.frames_max;
        let mut at = self.zsmalloc.store(blob, entry, frames_max);
        if at.is_some() {
            return at;
        }
        self.counters.limit_hits += 1;
        self.note_peaks();
        let class = self.zsmalloc.class_of(blob.len());
        let wanted = self.zsmalloc.frames_used() + self.zsmalloc.class_frames(class);
        // A limit that has room all the same means that the system refused memory: nothing to
        // compact for.
        if wanted > frames_max && self.compact(Some(wanted - frames_max)) > 0 {
            at = self.zsmalloc.store(blob, entry, frames_max);
        }
        while at.is_none() {
            let freed = self.drop_coldest_ephemeral()?;
            if freed != class && self.zsmalloc.freeable_zspages(freed) > 0 {
                self.compact_class(freed);
            }
            at = self.zsmalloc.store(blob, entry, frames_max);
        }
        at
    }

    /// After limits were lowered: compact and drop ephemeral pages as far as that helps.
    pub fn drop_above_limits(&mut self) {
        self.note_peaks();
        let frames_max = self.zsmalloc.frames_max;
        if self.zsmalloc.frames_used() > frames_max {
            self.compact(Some(self.zsmalloc.frames_used() - frames_max));
        }
        while self.zsmalloc.frames_used() > frames_max {
            let Some(freed) = self.drop_coldest_ephemeral() else {
                break;
            };
            self.compact_class(freed);
        }
        while self.foreign_slot_bytes > self.config.foreign_bytes_max {
            let mut passes = PASSES_MAX;
            let entry = self.table.coldest(queue_of(FOREIGN), &mut passes);
            if entry == 0 {
                break;
            }
            self.drop_ephemeral(entry);
        }
    }
}
