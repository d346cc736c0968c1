//! Foreign pages: blobs that this cache holds for other nodes.
//!
//! Covers: storing them within a quota, giving copies, dropping them. Does not cover: who may lend,
//! leases (the layer above).
//!
//! A foreign page's index is its owner's key and its generation the owner's. Nothing in a blob is
//! interpreted. Own pages come first: no foreign page takes a frame above the high watermark, and
//! nothing is dropped for one.

use crate::entries::Entries;
use crate::entry::{ENCODING_MASK, FOREIGN, queue_of};
use crate::page::{AdoptStatus, Blobs, ObjectId, PAGE_SIZE, PackedBlobs};

impl Entries {
    /// Store one blob that was verified; row `row` of `blobs`.
    pub fn adopt_one(
        &mut self,
        pool: u32,
        object: &ObjectId,
        blobs: &Blobs<'_>,
        row: usize,
        blob: &[u8],
    ) -> AdoptStatus {
        let (key, generation) = (blobs.keys[row], blobs.generations[row]);
        let old = self.find(pool, object, key);
        if old != 0 {
            if self.table[old].generation >= generation {
                return AdoptStatus::Stale;
            }
            self.drop_page(old); // of no use to its owner any more, even if the new one finds no room
        }
        if self.frozen {
            return AdoptStatus::Full;
        }
        let slot = self.zsmalloc.slot_bytes(blob.len());
        if self.foreign_slot_bytes + slot > self.config.foreign_bytes_max {
            return AdoptStatus::Quota;
        }
        let entry = self.table.take();
        let limit = self.frames_under(self.config.high_watermark);
        let Some(at) = self.zsmalloc.store(blob, entry, limit) else {
            self.table.give_back(entry);
            return AdoptStatus::Full;
        };
        self.insert(pool, object, key, entry, None);
        let flags = self.index.pool_mut(pool).flags | blobs.encodings[row];
        self.fill_local(
            entry,
            flags,
            blob.len(),
            blobs.checksums[row],
            at,
            generation,
        );
        AdoptStatus::Stored
    }

    /// Blobs by key and exact generation: 1 or 0 a key, and those found.
    pub fn read_adopted(
        &self,
        pool: u32,
        object: &ObjectId,
        keys: &[u64],
        generations: &[u64],
    ) -> (Vec<u8>, PackedBlobs) {
        let mut found = Vec::with_capacity(keys.len());
        let mut blobs = PackedBlobs::default();
        for (key, generation) in keys.iter().zip(generations) {
            let entry = self.find(pool, object, *key);
            let page = &self.table[entry];
            if entry == 0 || page.generation != *generation {
                found.push(0);
                continue;
            }
            found.push(1);
            page.refer();
            blobs.keys.push(*key);
            blobs.generations.push(*generation);
            blobs.lengths.push(page.length() as u16);
            blobs.encodings.push(page.flags() & ENCODING_MASK);
            blobs.checksums.push(self.checksum_kept(entry));
            blobs.payload.extend_from_slice(self.blob(entry));
        }
        (found, blobs)
    }

    /// Drop each blob whose stored generation is at most the one given; returns how many.
    pub fn flush_adopted(
        &mut self,
        pool: u32,
        object: &ObjectId,
        keys: &[u64],
        generations: &[u64],
    ) -> u64 {
        self.note_peaks();
        let mut dropped = 0;
        for (key, generation) in keys.iter().zip(generations) {
            let entry = self.find(pool, object, *key);
            if entry != 0 && self.table[entry].generation <= *generation {
                self.drop_page(entry);
                dropped += 1;
            }
        }
        self.counters.foreign_flushed += dropped;
        dropped
    }

    /// Bytes of foreign blobs that would be taken now.
    pub fn foreign_room_bytes(&self) -> u64 {
        if self.frozen {
            return 0;
        }
        let quota = self
            .config
            .foreign_bytes_max
            .saturating_sub(self.foreign_slot_bytes);
        let frames = self.frames_under(self.config.high_watermark);
        let room = frames.saturating_sub(self.zsmalloc.frames_used()) * PAGE_SIZE as u64;
        quota.min(room)
    }

    /// Drop the coldest foreign ephemeral page; the bytes of its blob. `passes`: see
    /// `PageTable::coldest`.
    pub fn drop_foreign_ephemeral(&mut self, passes: &mut u32) -> Option<u64> {
        let entry = self.table.coldest(queue_of(FOREIGN), passes);
        if entry == 0 {
            return None;
        }
        let length = self.table[entry].length() as u64;
        self.drop_ephemeral(entry);
        Some(length)
    }
}
