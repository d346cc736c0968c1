//! A cache that several threads share: the operations of `zcache/contract.py`, and the lock.
//!
//! Covers: what runs under which lock. Does not cover: the operations themselves (the other
//! modules), Python.
//!
//! One lock over everything that is kept, sharded for readers: gets that leave their pages, and all
//! that only looks, run side by side without touching the same cache line; what changes something
//! runs alone. Pages are encoded before the lock is taken, and fetched blobs are decoded outside of
//! it; what is left for a put under the lock is its bookkeeping and the copy of its blob, a few per
//! cent of the time that LZ4 takes. Long work goes on in runs, so that others get in between.
//! Nothing is called out of here while a lock is held.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crossbeam_utils::sync::{ShardedLockReadGuard, ShardedLockWriteGuard};

use crate::codec::{self, Codec, Decoder, Encoder, Encoding, checksum};
use crate::config::Config;
use crate::counters::Stats;
use crate::entries::Entries;
use crate::entry::{AWAY, LOCAL, PERSISTENT, SAME_FILLED, TRANSIT};
use crate::error::Error;
use crate::gate::Gate;
use crate::get::{Answers, GET_RUN, encoding_of, frees};
use crate::index::PoolSpec;
use crate::page::{
    AdoptStatus, AwayPage, AwayPages, Blobs, GetFree, Indexes, ObjectId, PAGE_SIZE, PackedBlobs,
    PageState, PoolKind, RestoreStatus, place_of,
};
use crate::pages::Pages;
use crate::put::Encoded;
use crate::reclaim::PASSES_MAX;
use crate::repatriation::{Handles, SCAN_CHUNK, SCAN_MAX};
use crate::spill::{SpillDesk, Ticket, Wheres};
use crate::zsmalloc::ClassRow;

/// Pages that are encoded, then stored under one lock.
const PUT_RUN: usize = 16;
/// Rows of other batches that are worked on under one lock.
const ROW_RUN: usize = 256;

/// What the lock protects.
struct World {
    entries: Entries,
    spills: SpillDesk,
}

impl Deref for World {
    type Target = Entries;
    fn deref(&self) -> &Entries {
        &self.entries
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Entries {
        &mut self.entries
    }
}

/// What one thread needs to encode and to decode.
struct Bench {
    encoder: Encoder,
    decoder: Decoder,
    page: Box<[u8; PAGE_SIZE]>,
    blobs: Vec<u8>,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench {
        encoder: Encoder::new(),
        decoder: Decoder::new(),
        page: Box::new([0; PAGE_SIZE]),
        blobs: Vec::new(),
    });
}

fn with_bench<T>(work: impl FnOnce(&mut Bench) -> T) -> T {
    BENCH.with_borrow_mut(work)
}

/// A get's answer for one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// There is none.
    Absent,
    /// It was written to its place.
    Present,
    /// It is elsewhere.
    Away(AwayPage),
}

/// A compressed page cache with a hard limit.
pub struct Cache {
    world: Gate<World>,
}

impl Cache {
    /// An empty cache. The configuration was checked.
    pub fn new(config: Config) -> Self {
        let world = World {
            entries: Entries::new(config),
            spills: SpillDesk::default(),
        };
        Cache {
            world: Gate::new(world),
        }
    }

    fn read(&self) -> Result<ShardedLockReadGuard<'_, World>, Error> {
        self.world.read()
    }

    fn write(&self) -> Result<ShardedLockWriteGuard<'_, World>, Error> {
        self.world.write()
    }

    /// Put another configuration in force and drop what may be dropped above its limits.
    pub fn reconfigure(&self, config: Config) -> Result<(), Error> {
        let mut world = self.write()?;
        debug_assert_eq!(config.chain_frames_max, world.config.chain_frames_max);
        world.configure(config);
        world.drop_above_limits();
        Ok(())
    }

    // -- pools ------------------------------------------------------------------------------------

    /// Make a pool; its id is the lowest free one.
    pub fn create_pool(&self, spec: PoolSpec) -> Result<u32, Error> {
        self.write()?.index.create_pool(spec)
    }

    /// Pages of a pool, own or foreign, in any state.
    pub fn pool_pages(&self, pool: u32) -> Result<u64, Error> {
        Ok(self.read()?.index.any_pool(pool)?.pages)
    }

    /// Remove up to `pages_max` pages of a pool; returns how many.
    pub fn empty_pool(&self, pool: u32, pages_max: usize) -> Result<u64, Error> {
        let mut world = self.write()?;
        world.index.any_pool(pool)?;
        let dropping = world.index.walk_pool(pool, pages_max);
        Ok(drop_all(&mut world, &dropping))
    }

    /// Remove a pool and all its pages; returns how many.
    pub fn destroy_pool(&self, pool: u32) -> Result<u64, Error> {
        let mut world = self.write()?;
        world.index.any_pool(pool)?;
        let dropping = world.index.walk_pool(pool, usize::MAX);
        let dropped = drop_all(&mut world, &dropping);
        world.index.remove_pool(pool);
        Ok(dropped)
    }

    // -- pages ------------------------------------------------------------------------------------

    /// Store pages in order, in place of earlier ones; see `CacheContract.put_many`.
    ///
    /// The error of a refusal says how many pages were stored before it.
    pub fn put_many(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        pages: Pages<'_>,
        keep_old: bool,
    ) -> Result<(), Error> {
        debug_assert_eq!(indexes.len(), pages.len());
        if indexes.is_empty() {
            return self.read()?.index.pool(pool, false).map(|_| ());
        }
        with_bench(|bench| {
            for start in (0..indexes.len()).step_by(PUT_RUN) {
                let stop = indexes.len().min(start + PUT_RUN);
                self.put_run(pool, object, indexes, start..stop, &pages, keep_old, bench)?;
            }
            Ok(())
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn put_run(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        range: std::ops::Range<usize>,
        pages: &Pages<'_>,
        keep_old: bool,
        bench: &mut Bench,
    ) -> Result<(), Error> {
        let (codec, huge_length, refuse) = {
            let world = self.read()?;
            let codec = world
                .index
                .pool(pool, false)?
                .codec
                .unwrap_or(world.config.codec);
            (
                codec,
                world.zsmalloc.huge_length(),
                world.config.refuse_incompressible,
            )
        };
        let Bench {
            encoder,
            page,
            blobs,
            ..
        } = bench;
        blobs.resize(PUT_RUN * PAGE_SIZE, 0);
        let mut encoded = [const { codec::Encoded::Refused }; PUT_RUN];
        // Blobs lie back to back, so that they stay in the nearest cache until they are stored.
        let mut end = 0;
        for (at, row) in range.clone().enumerate() {
            let page = pages.page(row, page);
            let refuse = refuse && codec != Codec::None;
            encoded[at] = encoder.encode(page, codec, huge_length, refuse, &mut blobs[end..]);
            if let codec::Encoded::Blob { length, .. } = encoded[at] {
                end += length;
            }
        }
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        let mut start = 0;
        for (at, row) in range.enumerate() {
            let index = indexes.at(row);
            if world.frozen {
                world.put_as_flush(pool, object, index);
                continue;
            }
            let page = match encoded[at] {
                codec::Encoded::Blob {
                    length,
                    encoding,
                    checksum,
                } => {
                    start += length;
                    Encoded::Blob(&blobs[start - length..start], encoding, checksum)
                }
                codec::Encoded::Same(pattern) => Encoded::Same(pattern),
                codec::Encoded::Refused => Encoded::Refused,
            };
            world
                .put(pool, object, index, page, keep_old)
                .map_err(|error| match error {
                    Error::Full { reason, .. } => Error::Full {
                        reason,
                        stored: row,
                    },
                    Error::Poor { .. } => Error::Poor { stored: row },
                    other => other,
                })?;
        }
        Ok(())
    }

    /// One page, written to `into`; a page that is corrupt stays and is an error.
    pub fn get(
        &self,
        pool: u32,
        object: &ObjectId,
        index: u64,
        into: &mut [u8; PAGE_SIZE],
        free: GetFree,
    ) -> Result<Answer, Error> {
        let mut state = [PageState::Absent as u8];
        let away = self.get_many(pool, object, Indexes::Run(index, 1), into, &mut state, free)?;
        match state[0] {
            1 => Ok(Answer::Present),
            2 => Ok(Answer::Away(AwayPage {
                key: away.keys[0],
                generation: away.generations[0],
                length: away.lengths[0],
                encoding: away.encodings[0],
                checksum: away.checksums[0],
                whereabouts: away.wheres[0],
            })),
            3 => Err(Error::Corrupt(self.why_corrupt(pool, object, index)?)),
            _ => Ok(Answer::Absent),
        }
    }

    fn why_corrupt(&self, pool: u32, object: &ObjectId, index: u64) -> Result<String, Error> {
        let world = self.read()?;
        let entry = world.find(pool, object, index);
        if entry == 0 || !matches!(world.table[entry].state(), LOCAL | TRANSIT) {
            return Ok("a blob was damaged and is gone by now".into());
        }
        let blob = world.blob(entry);
        Ok(
            if checksum(blob) as u32 == world.table[entry].checksum_low() {
                format!("a blob of {} bytes does not decode to one page", blob.len())
            } else {
                format!("checksum of a blob of {} bytes does not match", blob.len())
            },
        )
    }

    /// Page i of the batch goes to the i-th page of `into`, its `PageState` to `states`; returns
    /// those that are away.
    ///
    /// Panics if `into` or `states` have not room for every page.
    pub fn get_many(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        into: &mut [u8],
        states: &mut [u8],
        free: GetFree,
    ) -> Result<AwayPages, Error> {
        assert!(into.len() >= indexes.len() * PAGE_SIZE && states.len() >= indexes.len());
        let mut answers = Answers {
            into,
            states,
            away: AwayPages::default(),
        };
        with_bench(|bench| {
            let mut start = 0;
            while start < indexes.len() {
                let stop = indexes.len().min(start + GET_RUN);
                let world = self.read()?;
                if frees(world.index.pool(pool, false)?, free) {
                    drop(world);
                    let mut world = self.write()?;
                    // The id may have become another pool's in between.
                    if frees(world.index.pool(pool, false)?, free) {
                        for at in start..stop {
                            let decoder = &mut bench.decoder;
                            world.read_freeing(pool, object, indexes, at, &mut answers, decoder);
                        }
                        start = stop;
                    }
                    continue;
                }
                let decoder = &mut bench.decoder;
                world.read_run(pool, object, indexes, start..stop, &mut answers, decoder);
                start = stop;
            }
            if indexes.is_empty() {
                self.read()?.index.pool(pool, false)?;
            }
            Ok(answers.away)
        })
    }

    /// Remove one page; true if there was one.
    pub fn flush(&self, pool: u32, object: &ObjectId, index: u64) -> Result<bool, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        world.counters.flushes += 1;
        let entry = world.find(pool, object, index);
        if entry == 0 {
            return Ok(false);
        }
        world.note_peaks();
        world.drop_page(entry);
        world.counters.flushes_found += 1;
        Ok(true)
    }

    /// Remove up to `pages_max` pages with start <= index <= last, lowest first; returns how many.
    pub fn flush_range(
        &self,
        pool: u32,
        object: &ObjectId,
        start: u64,
        last: u64,
        pages_max: usize,
    ) -> Result<u64, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        let Some(number) = world.index.object_number(pool, object) else {
            return Ok(0);
        };
        let dropping = world.index.walk(number, start, last, pages_max);
        let removed = drop_all(&mut world, &dropping);
        world.counters.flushes += removed;
        world.counters.flushes_found += removed;
        Ok(removed)
    }

    /// Remove every page of an object; returns how many.
    pub fn flush_object(&self, pool: u32, object: &ObjectId) -> Result<u64, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        world.counters.object_flushes += 1;
        let Some(number) = world.index.object_number(pool, object) else {
            return Ok(0);
        };
        world.counters.object_flushes_found += 1;
        let dropping = world.index.walk(number, 0, u64::MAX, usize::MAX);
        Ok(drop_all(&mut world, &dropping))
    }

    /// The indexes of stored pages with start <= index <= last, as runs (first, pages), in order.
    pub fn stored_runs(
        &self,
        pool: u32,
        object: &ObjectId,
        start: u64,
        last: u64,
    ) -> Result<Vec<(u64, u64)>, Error> {
        let world = self.read()?;
        world.index.pool(pool, false)?;
        let Some(number) = world.index.object_number(pool, object) else {
            return Ok(vec![]);
        };
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for entry in world.index.walk(number, start, last, usize::MAX) {
            let index = world.index.index_of(&world.table, entry);
            match runs.last_mut() {
                // Written so that it holds for the very last index, too.
                Some((first, pages)) if index - *first == *pages => *pages += 1,
                _ => runs.push((index, 1)),
            }
        }
        Ok(runs)
    }

    /// Stop or resume storing.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        self.write()?.frozen = frozen;
        Ok(())
    }

    // -- spilling ---------------------------------------------------------------------------------

    /// See `CacheContract.begin_spill`.
    pub fn begin_spill(
        &self,
        bytes_max: u64,
        kind: PoolKind,
        pages_max: usize,
    ) -> Result<Option<Ticket>, Error> {
        let World { entries, spills } = &mut *self.write()?;
        Ok(spills.begin(entries, bytes_max, kind, pages_max))
    }

    /// See `CacheContract.finish_spill`. The words of accepted pages name places.
    pub fn finish_spill(
        &self,
        ticket: u64,
        wheres: Wheres<'_>,
        accepted: Option<&[u8]>,
    ) -> Result<u64, Error> {
        let World { entries, spills } = &mut *self.write()?;
        spills.finish(entries, ticket, wheres, accepted)
    }

    /// See `CacheContract.cancel_spill`.
    pub fn cancel_spill(&self, ticket: u64, warm: bool) -> Result<(), Error> {
        let World { entries, spills } = &mut *self.write()?;
        spills.cancel(entries, ticket, warm)
    }

    /// See `CacheContract.drain_displaced`.
    pub fn drain_displaced(&self, pages_max: usize) -> Result<AwayPages, Error> {
        if self.read()?.displaced.is_empty() {
            return Ok(AwayPages::default());
        }
        Ok(self.write()?.displaced.drain(pages_max))
    }

    // -- fetching ---------------------------------------------------------------------------------

    /// See `CacheContract.peek_away`.
    pub fn peek_away(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
    ) -> Result<AwayPages, Error> {
        let world = self.read()?;
        world.index.pool(pool, false)?;
        Ok(world.peek(pool, object, indexes))
    }

    /// See `CacheContract.restore_many`. The columns are equally long, and their lengths make up
    /// the payload.
    #[allow(clippy::too_many_arguments)]
    pub fn restore_many(
        &self,
        pool: u32,
        object: &ObjectId,
        indexes: Indexes<'_>,
        blobs: &Blobs<'_>,
        into: Option<&mut [u8]>,
        install: bool,
        free: GetFree,
    ) -> Result<Vec<RestoreStatus>, Error> {
        let mut statuses = {
            let world = self.read()?;
            world.index.pool(pool, false)?;
            world.match_blobs(pool, object, indexes, blobs)
        };
        let parts: Vec<&[u8]> = blobs.parts().collect();
        let mut pages = vec![
            0;
            if into.is_some() {
                parts.len() * PAGE_SIZE
            } else {
                0
            }
        ];
        with_bench(|bench| {
            for (row, status) in statuses.iter_mut().enumerate() {
                if *status != RestoreStatus::Restored {
                    continue;
                }
                let good = checksum(parts[row]) == blobs.checksums[row]
                    && (pages.is_empty() || {
                        let page = &mut pages[row * PAGE_SIZE..(row + 1) * PAGE_SIZE];
                        let page = page.try_into().expect("cut to size");
                        bench
                            .decoder
                            .decode(parts[row], encoding_of(blobs.encodings[row]), page)
                    });
                if !good {
                    *status = RestoreStatus::Corrupt;
                }
            }
        });
        let mut world = self.write()?;
        let frees = frees(world.index.pool(pool, false)?, free);
        world.note_peaks();
        for (row, part) in parts.iter().enumerate() {
            if statuses[row] != RestoreStatus::Restored {
                continue;
            }
            let entry = world.stub(pool, object, indexes.at(row), blobs, row);
            if entry == 0 {
                statuses[row] = RestoreStatus::Stale;
                continue;
            }
            world.settle(entry, part, frees, install);
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count() as u64;
        world.counters.restores_stale += count(RestoreStatus::Stale);
        world.counters.restores_corrupt += count(RestoreStatus::Corrupt);
        drop(world);
        if let Some(into) = into {
            for (row, status) in statuses.iter().enumerate() {
                if *status == RestoreStatus::Restored {
                    let page = row * PAGE_SIZE..(row + 1) * PAGE_SIZE;
                    into[page.clone()].copy_from_slice(&pages[page]);
                }
            }
        }
        Ok(statuses)
    }

    /// See `CacheContract.forget_away`.
    pub fn forget_away(
        &self,
        pool: u32,
        object: &ObjectId,
        index: u64,
        generation: u64,
    ) -> Result<bool, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        Ok(world.forget(pool, object, index, generation))
    }

    /// See `CacheContract.forget_where`.
    pub fn forget_where(&self, place: u32, kind: PoolKind) -> Result<u64, Error> {
        let (mut forgotten, mut cursor) = (0, 0);
        loop {
            let (some, next) = self.write()?.forget_chunk(place, kind, cursor);
            forgotten += some;
            match next {
                Some(next) => cursor = next,
                None => return Ok(forgotten),
            }
        }
    }

    /// See `CacheContract.scan_away`.
    pub fn scan_away(
        &self,
        place: u32,
        cursor: u64,
        pages_max: usize,
    ) -> Result<(Handles, AwayPages, u64), Error> {
        let (mut handles, mut pages) = (Handles::new(), AwayPages::default());
        let mut at = cursor;
        let end = cursor.saturating_add(u64::from(SCAN_MAX));
        while at < end {
            let world = self.read()?;
            if let Some(next) = world.scan_chunk(place, at, pages_max, &mut handles, &mut pages) {
                return Ok((handles, pages, next));
            }
            at += u64::from(SCAN_CHUNK);
        }
        Ok((handles, pages, at))
    }

    /// See `CacheContract.move_away`; the columns are equally long.
    pub fn move_away(
        &self,
        keys: &[u64],
        generations: &[u64],
        wheres: &[u64],
        to: &[u64],
    ) -> Result<Vec<u8>, Error> {
        let mut changed = Vec::with_capacity(keys.len());
        for start in (0..keys.len()).step_by(ROW_RUN) {
            let mut world = self.write()?;
            for row in start..keys.len().min(start + ROW_RUN) {
                let moved = world.move_one(keys[row], generations[row], wheres[row], to[row]);
                changed.push(u8::from(moved));
            }
        }
        Ok(changed)
    }

    // -- lending ----------------------------------------------------------------------------------

    /// See `CacheContract.adopt`. The columns are equally long, and their lengths make up the
    /// payload.
    pub fn adopt(
        &self,
        pool: u32,
        object: &ObjectId,
        blobs: &Blobs<'_>,
    ) -> Result<Vec<AdoptStatus>, Error> {
        let good: Vec<bool> = blobs
            .parts()
            .enumerate()
            .map(|(row, part)| {
                (1..=PAGE_SIZE).contains(&part.len())
                    && blobs.encodings[row] <= Encoding::Zstd as u8
                    && checksum(part) == blobs.checksums[row]
            })
            .collect();
        let mut statuses = Vec::with_capacity(good.len());
        let mut world = self.write()?;
        world.index.pool(pool, true)?;
        world.note_peaks();
        for (row, part) in blobs.parts().enumerate() {
            statuses.push(if good[row] {
                world.adopt_one(pool, object, blobs, row, part)
            } else {
                AdoptStatus::Bad
            });
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count() as u64;
        let counters = &mut world.counters;
        counters.foreign_adopted += count(AdoptStatus::Stored);
        counters.foreign_refused_quota += count(AdoptStatus::Quota);
        counters.foreign_refused_full += count(AdoptStatus::Full);
        counters.foreign_refused_stale += count(AdoptStatus::Stale);
        counters.foreign_refused_bad += count(AdoptStatus::Bad);
        Ok(statuses)
    }

    /// See `CacheContract.read_adopted`; the columns are equally long.
    pub fn read_adopted(
        &self,
        pool: u32,
        object: &ObjectId,
        keys: &[u64],
        generations: &[u64],
    ) -> Result<(Vec<u8>, PackedBlobs), Error> {
        let world = self.read()?;
        world.index.pool(pool, true)?;
        Ok(world.read_adopted(pool, object, keys, generations))
    }

    /// See `CacheContract.flush_adopted`; the columns are equally long.
    pub fn flush_adopted(
        &self,
        pool: u32,
        object: &ObjectId,
        keys: &[u64],
        generations: &[u64],
    ) -> Result<u64, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, true)?;
        Ok(world.flush_adopted(pool, object, keys, generations))
    }

    /// See `CacheContract.foreign_room_bytes`.
    pub fn foreign_room_bytes(&self) -> Result<u64, Error> {
        Ok(self.read()?.foreign_room_bytes())
    }

    /// See `CacheContract.foreign_bytes`.
    pub fn foreign_bytes(&self, pool: u32) -> Result<u64, Error> {
        Ok(self.read()?.index.pool(pool, true)?.blob_bytes)
    }

    /// See `CacheContract.drop_foreign_ephemeral`.
    pub fn drop_foreign_ephemeral(&self, bytes_max: u64) -> Result<u64, Error> {
        let mut dropped = 0;
        let mut passes = PASSES_MAX;
        loop {
            let mut world = self.write()?;
            world.note_peaks();
            for _ in 0..ROW_RUN {
                if dropped >= bytes_max {
                    return Ok(dropped);
                }
                match world.drop_foreign_ephemeral(&mut passes) {
                    Some(bytes) => dropped += bytes,
                    None => return Ok(dropped),
                }
            }
        }
    }

    // -- memory -----------------------------------------------------------------------------------

    /// See `CacheContract.excess_bytes`.
    pub fn excess_bytes(&self, watermark: f64) -> Result<u64, Error> {
        let world = self.read()?;
        let excess = world
            .zsmalloc
            .frames_used()
            .saturating_sub(world.frames_under(watermark));
        Ok(excess * PAGE_SIZE as u64)
    }

    /// See `CacheContract.compact`. Beside the frames, gives memory of a page table that is mostly
    /// free back: a chunk of it a call, or (without `frames_max`) all that can be.
    pub fn compact(&self, frames_max: Option<u64>) -> Result<u64, Error> {
        let given_back = {
            let mut world = self.write()?;
            let given_back = world.compact(frames_max);
            if frames_max.is_none() {
                world.zsmalloc.give_back();
            }
            given_back
        };
        while self.write()?.trim_table() && frames_max.is_none() {}
        Ok(given_back)
    }

    // -- figures ----------------------------------------------------------------------------------

    /// See `CacheContract.stats`.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut world = self.write()?;
        world.note_peaks();
        let world = &*world;
        let (table, zsmalloc) = (&world.table, &world.zsmalloc);
        let in_transit = table.count(TRANSIT, false);
        let of_kind = |kind: u8| {
            let states = [LOCAL, TRANSIT, AWAY, SAME_FILLED];
            states
                .iter()
                .map(|state| table.counts[usize::from(state | kind)])
                .sum()
        };
        let mut named = world.counters.named();
        named.extend(world.gets.named());
        named.extend([
            ("frames_compacted", zsmalloc.frames_compacted()),
            ("objects_moved", zsmalloc.objects_moved()),
            ("frames_max", zsmalloc.frames_max),
            ("frames_used", zsmalloc.frames_used()),
            ("frames_used_peak", zsmalloc.frames_peak()),
            ("frames_kept", zsmalloc.frames_kept()),
            ("zspages", zsmalloc.zspages()),
            ("pools", world.index.pool_count()),
            ("objects", world.index.object_count()),
            ("pages_local", table.count(LOCAL, false)),
            ("pages_same_filled", table.count(SAME_FILLED, false)),
            ("pages_in_transit", in_transit),
            ("pages_away", table.count(AWAY, false)),
            ("pages_foreign", table.count(LOCAL, true)),
            ("zombie_blobs", world.spills.pages_open() - in_transit),
            ("pages_persistent", of_kind(PERSISTENT)),
            ("pages_ephemeral", of_kind(0)),
            (
                "bytes_local",
                table.byte_count(LOCAL, false) + table.byte_count(TRANSIT, false),
            ),
            ("bytes_away", table.byte_count(AWAY, false)),
            ("bytes_foreign", table.byte_count(LOCAL, true)),
            ("bytes_foreign_slots", world.foreign_slot_bytes),
            ("displaced_pending", world.displaced.len() as u64),
            ("metadata_bytes", metadata_bytes(world) as u64),
        ]);
        let away = world
            .away
            .iter()
            .map(|(place, pair)| (*place, pair[1], pair[0]));
        Ok(Stats {
            named,
            away_by_where: away.collect(),
        })
    }

    /// See `CacheContract.class_stats`.
    pub fn class_stats(&self) -> Result<Vec<ClassRow>, Error> {
        Ok(self.read()?.zsmalloc.class_stats())
    }

    /// See `CacheContract.verify`.
    pub fn verify(&self) -> Result<(), Error> {
        let world = self.read()?;
        let mut findings = world.entries.verify();
        findings.extend(world.spills.verify(&world.entries));
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Error::Verify(findings))
        }
    }

    /// Flip a bit of a stored blob, as bad memory would: for tests of what notices it. False if
    /// there is no blob here.
    #[doc(hidden)]
    pub fn damage(&self, pool: u32, object: &ObjectId, index: u64) -> Result<bool, Error> {
        let mut world = self.write()?;
        world.index.pool(pool, false)?;
        let entry = world.find(pool, object, index);
        if entry == 0 || !matches!(world.table[entry].state(), LOCAL | TRANSIT) {
            return Ok(false);
        }
        let mut blob = world.blob(entry).to_vec();
        blob[0] ^= 1;
        let at = world.table[entry].location();
        world.zsmalloc.overwrite(at, &blob);
        Ok(true)
    }
}

/// Drop entries; returns how many.
fn drop_all(entries: &mut Entries, dropping: &[u32]) -> u64 {
    entries.note_peaks();
    for entry in dropping {
        entries.drop_page(*entry);
    }
    entries.table.shrink_if_empty();
    dropping.len() as u64
}

/// Bytes beside the frames; payloads of open tickets included.
fn metadata_bytes(world: &World) -> usize {
    world.table.metadata_bytes()
        + world.index.metadata_bytes()
        + world.zsmalloc.metadata_bytes()
        + world.displaced.metadata_bytes()
        + world.spills.metadata_bytes()
        + world.away.allocation_size()
}

/// Whether a number is a 64-bit word that names a place.
pub fn is_where(whereabouts: u64) -> bool {
    place_of(whereabouts) != 0
}
