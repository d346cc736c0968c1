//! Entries and what they hold: page table, index, allocator and displaced copies, kept in step.
//!
//! Covers: finding, filling, releasing and dropping an entry in any state, and the sums that go
//! with it. Does not cover: when (`put.rs`, `get.rs`, `reclaim.rs`, `spill.rs`, `repatriation.rs`,
//! `lending.rs`). No locks here.

use hashbrown::HashMap;

use crate::codec::checksum;
use crate::config::Config;
use crate::counters::{Counters, GetCounters};
use crate::displaced::DisplacedQueue;
use crate::entry::{
    AWAY, ENCODING_MASK, FOREIGN, LOCAL, PERSISTENT, SAME_FILLED, STATE_MASK, TRANSIT, queue_of,
};
use crate::index::Index;
use crate::page::{AwayPage, AwayPages, Encoding, ObjectId, place_of};
use crate::page_table::PageTable;
use crate::zsmalloc::{Location, Zsmalloc};

/// The state of one cache but its open tickets.
pub struct Entries {
    /// In force.
    pub config: Config,
    /// Puts are flushes.
    pub frozen: bool,
    /// The limit was hit, and use has not been seen at the accept watermark since.
    pub refusing: bool,
    /// Entries.
    pub table: PageTable,
    /// Handles.
    pub index: Index,
    /// Blobs.
    pub zsmalloc: Zsmalloc,
    /// Copies elsewhere that are not wanted any more.
    pub displaced: DisplacedQueue,
    /// Place -> \[ephemeral, persistent\] pages there, at any position.
    pub away: HashMap<u32, [u64; 2]>,
    /// All but those of gets.
    pub counters: Counters,
    /// Of gets.
    pub gets: GetCounters,
    /// Bytes of the slots of foreign blobs.
    pub foreign_slot_bytes: u64,
}

impl Entries {
    /// An empty cache.
    pub fn new(config: Config) -> Self {
        Entries {
            frozen: false,
            refusing: false,
            table: PageTable::new(),
            index: Index::new(config.pools_max),
            zsmalloc: Zsmalloc::new(config.frames_max(), config.chain_frames_max),
            displaced: DisplacedQueue::default(),
            away: HashMap::new(),
            counters: Counters::default(),
            gets: GetCounters::default(),
            foreign_slot_bytes: 0,
            config,
        }
    }

    /// Put another configuration in force; what is above its limits is the caller's to drop.
    pub fn configure(&mut self, config: Config) {
        self.index.pools_max = config.pools_max;
        self.zsmalloc.set_limit(config.frames_max());
        self.config = config;
    }

    /// A watermark in frames.
    pub fn frames_under(&self, watermark: f64) -> u64 {
        (watermark * self.zsmalloc.frames_max as f64) as u64
    }

    /// To be called before pages become fewer and before peaks are read: then they are exact.
    pub fn note_peaks(&mut self) {
        let local = self.table.count(LOCAL, false);
        let foreign = self.table.count(LOCAL, true);
        let counters = &mut self.counters;
        counters.pages_local_peak = counters.pages_local_peak.max(local);
        counters.pages_foreign_peak = counters.pages_foreign_peak.max(foreign);
    }

    // -- entries ----------------------------------------------------------------------------------

    /// The entry of a page, or 0.
    pub fn find(&self, pool: u32, object: &ObjectId, index: u64) -> u32 {
        self.index.find(pool, object, index)
    }

    /// Enter a taken entry under a handle that has none. `known`: see `Index::insert`.
    pub fn insert(
        &mut self,
        pool: u32,
        object: &ObjectId,
        index: u64,
        entry: u32,
        known: Option<u32>,
    ) {
        self.index
            .insert(&mut self.table, pool, object, index, entry, known);
    }

    /// The pool that an entry's page is in.
    pub fn pool_of(&self, entry: u32) -> u32 {
        self.index.owner(&self.table, entry).pool
    }

    /// Give an entry a blob; most recent. `flags`: the pool's bits and the encoding.
    pub fn fill_local(
        &mut self,
        entry: u32,
        flags: u8,
        length: usize,
        checksum: u64,
        at: Location,
        generation: u64,
    ) {
        let flags = flags | LOCAL;
        let page = &mut self.table[entry];
        page.fill_local(flags, length, checksum, at);
        page.generation = generation;
        self.table.count_in(flags, length);
        self.table.append(entry, queue_of(flags));
        if flags & FOREIGN != 0 {
            let pool = self.pool_of(entry);
            self.index.pool_mut(pool).blob_bytes += length as u64;
            self.foreign_slot_bytes += self.zsmalloc.slot_bytes(length);
        }
    }

    /// Make an entry that holds nothing same-filled: no blob, no frame, on no queue.
    pub fn fill_same(&mut self, entry: u32, flags: u8, pattern: u64, generation: u64) {
        let flags = flags | SAME_FILLED | Encoding::Same as u8;
        let page = &mut self.table[entry];
        page.fill_same(flags, pattern);
        page.generation = generation;
        self.table.count_in(flags, 0);
    }

    /// Let go of what an entry holds; its copy elsewhere, if any, becomes displaced.
    ///
    /// The entry stays in the index, and is to be filled or dropped next. Returns the size class in
    /// which a slot became free. `note_peaks` was called.
    pub fn release(&mut self, entry: u32) -> Option<usize> {
        let page = &self.table[entry];
        let (flags, length) = (page.flags(), page.length());
        self.table.count_out(flags, length);
        match flags & STATE_MASK {
            SAME_FILLED => None,
            AWAY => {
                let copy = self.away_page(entry);
                self.count_away(copy.whereabouts, flags, -1);
                self.displaced.push(copy);
                None
            }
            state => {
                if state == LOCAL {
                    self.table.unlink(entry);
                    if flags & FOREIGN != 0 {
                        self.foreign_slot_bytes -= self.zsmalloc.slot_bytes(length);
                    }
                }
                Some(self.zsmalloc.free(self.table[entry].location(), length))
            }
        }
    }

    /// As `release` for a page whose slot was used again, or freed, already.
    pub fn release_in_place(&mut self, entry: u32) {
        let page = &self.table[entry];
        let (flags, length) = (page.flags(), page.length());
        self.table.count_out(flags, length);
        if flags & STATE_MASK == LOCAL {
            self.table.unlink(entry);
        }
    }

    /// Remove a page altogether. Returns as `release`.
    pub fn drop_page(&mut self, entry: u32) -> Option<usize> {
        if self.table[entry].flags() & FOREIGN != 0 {
            let (pool, length) = (self.pool_of(entry), self.table[entry].length());
            self.index.pool_mut(pool).blob_bytes -= length as u64;
        }
        let class = self.release(entry);
        self.discard_unfilled(entry);
        class
    }

    /// Remove an entry that was released and is not filled again.
    pub fn discard_unfilled(&mut self, entry: u32) {
        self.index.remove(&self.table, entry);
        self.table.give_back(entry);
    }

    /// Remove a page that is away and whose copy is not displaced but gone.
    pub fn forget_stub(&mut self, entry: u32) {
        let page = &self.table[entry];
        let (flags, length, whereabouts) = (page.flags(), page.length(), page.whereabouts());
        self.count_away(whereabouts, flags, -1);
        self.table.count_out(flags, length);
        self.discard_unfilled(entry);
    }

    // -- pages elsewhere --------------------------------------------------------------------------

    /// Keep `away` in step with stubs that come to a place or go from it.
    pub fn count_away(&mut self, whereabouts: u64, flags: u8, change: i64) {
        let place = place_of(whereabouts);
        let pair = self.away.entry(place).or_default();
        let side = &mut pair[usize::from(flags & PERSISTENT != 0)];
        *side = side
            .checked_add_signed(change)
            .expect("pages away are counted when they leave");
        if *pair == [0, 0] {
            self.away.remove(&place);
        }
    }

    /// What is needed to fetch a page that is away.
    pub fn away_page(&self, entry: u32) -> AwayPage {
        let page = &self.table[entry];
        AwayPage {
            key: u64::from(entry),
            generation: page.generation,
            length: page.length() as u16,
            encoding: page.flags() & ENCODING_MASK,
            checksum: page.checksum(),
            whereabouts: page.whereabouts(),
        }
    }

    /// The same, as a row of columns.
    pub fn append_away(&self, pages: &mut AwayPages, position: u64, entry: u32) {
        pages.push(position, &self.away_page(entry));
    }

    // -- blobs ------------------------------------------------------------------------------------

    /// A blob that is here.
    #[inline]
    pub fn blob(&self, entry: u32) -> &[u8] {
        let page = &self.table[entry];
        self.zsmalloc.read(page.location(), page.length())
    }

    /// The checksum of a blob that is here, as it was when the blob came: computed, and its low
    /// half the one that is kept. It is the blob's unless the blob went bad.
    pub fn checksum_kept(&self, entry: u32) -> u64 {
        let now = checksum(self.blob(entry));
        now >> 32 << 32 | u64::from(self.table[entry].checksum_low())
    }

    /// Compact the allocator; see `Zsmalloc::compact`.
    pub fn compact(&mut self, frames_wanted: Option<u64>) -> u64 {
        let table = &mut self.table;
        self.zsmalloc.compact(frames_wanted, &mut |entry, at| {
            table[entry].set_location(at)
        })
    }

    /// The same for one class.
    pub fn compact_class(&mut self, class: usize) -> u64 {
        let table = &mut self.table;
        self.zsmalloc
            .compact_class(class, None, &mut |entry, at| table[entry].set_location(at))
    }

    /// Give back the last chunk of a page table that is mostly free; false if there is nothing to
    /// be won.
    pub fn trim_table(&mut self) -> bool {
        if !self.table.is_sparse() {
            return false;
        }
        let Entries {
            table,
            index,
            zsmalloc,
            ..
        } = self;
        table.trim_chunk(|table, from, to| {
            index.renumber(table, from, to);
            if table[to].state() == LOCAL {
                zsmalloc.set_handle(table[to].location(), table[to].length(), to);
            }
        })
    }

    // -- checks -----------------------------------------------------------------------------------

    /// Every sum of what is kept here, computed anew.
    pub fn verify(&self) -> Vec<String> {
        let table = &self.table;
        let mut found = self.index.verify(table);
        found.extend(table.verify());
        let mut sums = PageTable::new();
        let mut away: HashMap<u32, [u64; 2]> = HashMap::new();
        let (mut slots, mut holders) = (0, 0);
        for entry in table.range(0, u32::MAX) {
            let page = &table[entry];
            let (flags, length) = (page.flags(), page.length());
            let state = flags & STATE_MASK;
            if state == crate::entry::FREE {
                continue;
            }
            sums.count_in(flags, length);
            if flags & FOREIGN != 0 {
                slots += self.zsmalloc.slot_bytes(length);
            }
            if state == SAME_FILLED {
                if length != 0 {
                    found.push(format!("the same-filled entry {entry} has a length"));
                }
                continue;
            }
            if length == 0 || length > 4096 {
                found.push(format!("entry {entry} has a blob of {length} bytes"));
                continue;
            }
            if flags & FOREIGN == 0 && page.generation > table.generation {
                found.push(format!(
                    "entry {entry} is of a generation not given out yet"
                ));
            }
            if state == AWAY {
                away.entry(place_of(page.whereabouts())).or_default()
                    [usize::from(flags & PERSISTENT != 0)] += 1;
            } else {
                holders += 1;
                if self.zsmalloc.handle_at(page.location(), length) != entry {
                    found.push(format!("the slot of entry {entry} is not its own"));
                } else if checksum(self.blob(entry)) as u32 != page.checksum_low() {
                    found.push(format!("the blob of entry {entry} fails its checksum"));
                }
            }
        }
        if sums.counts != table.counts || sums.bytes != table.bytes {
            found.push("pages or bytes by state do not add up".into());
        }
        if slots != self.foreign_slot_bytes {
            found.push(format!(
                "foreign slots of {slots} bytes, {} counted",
                self.foreign_slot_bytes
            ));
        }
        if away != self.away || away.contains_key(&0) {
            found.push("pages away by place do not add up".into());
        }
        if holders != self.zsmalloc.objects() {
            let used = self.zsmalloc.objects();
            found.push(format!(
                "{holders} pages have blobs, {used} slots are in use"
            ));
        }
        for (id, pool) in self.index.pools() {
            let entries = if pool.foreign {
                self.index.walk_pool(id, usize::MAX)
            } else {
                vec![]
            };
            let held: u64 = entries
                .iter()
                .map(|entry| table[*entry].length() as u64)
                .sum();
            if held != pool.blob_bytes {
                found.push(format!(
                    "pool {id} holds {held} bytes, {} counted",
                    pool.blob_bytes
                ));
            }
        }
        let c = &self.counters;
        if c.puts != c.puts_stored + c.puts_refused_full + c.puts_refused_poor + c.puts_frozen {
            found.push("puts are not the sum of their outcomes".into());
        }
        found.extend(self.zsmalloc.verify(&|handle| {
            let here = matches!(table[handle].state(), LOCAL | TRANSIT);
            here.then(|| table[handle].location())
        }));
        found
    }
}
