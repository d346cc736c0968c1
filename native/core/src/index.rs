//! From handles to entries: pools, objects, and leaves of up to 64 pages.
//!
//! Covers: finding, adding, removing, walking. Does not cover: what an entry holds (`entry.rs`).
//!
//! An object is a mapping from `index >> 6` to a leaf. A leaf says by a bit a page which of its 64
//! pages are there, and has their entry numbers in a row, in a block of about the right size
//! (`leaf_blocks.rs`); so a page costs four bytes here where pages lie densely, and some tens where
//! each lies alone. An object exists only while it has a page.

use hashbrown::HashMap;

use crate::codec::Codec;
use crate::entry::{FOREIGN, PERSISTENT};
use crate::error::Error;
use crate::leaf_blocks::{Block, LeafBlocks};
use crate::page::{ObjectId, PoolKind};
use crate::page_table::PageTable;

const NONE: u32 = u32::MAX;

/// One pool.
pub struct Pool {
    /// Whether its pages may be dropped.
    pub kind: PoolKind,
    /// Whether it holds blobs for other nodes.
    pub foreign: bool,
    /// Whether a get frees what it finds, unless it says otherwise.
    pub frees_on_get: bool,
    /// Of new pages; None: the configuration's.
    pub codec: Option<Codec>,
    /// The bits that all its pages carry.
    pub flags: u8,
    /// Bytes of the blobs of a foreign pool; 0 in own pools, where nobody asks.
    pub blob_bytes: u64,
    /// Pages in any state.
    pub pages: u64,
    uuid: Option<[u8; 16]>,
    objects: HashMap<ObjectId, u32>,
    first: u32,
    last: u32,
}

/// What a pool is to be.
#[derive(Clone, Copy, Debug)]
pub struct PoolSpec {
    /// Whether its pages may be dropped.
    pub kind: PoolKind,
    /// Whether a get of a persistent page frees it.
    pub exclusive: bool,
    /// The same UUID gives the same pool.
    pub uuid: Option<[u8; 16]>,
    /// Whether it holds blobs for other nodes.
    pub foreign: bool,
    /// Of new pages; None: the configuration's.
    pub codec: Option<Codec>,
}

/// One object with at least one page; objects of a pool are linked in the order in which they came.
pub struct Object {
    /// The pool it is in.
    pub pool: u32,
    /// Its name there.
    pub id: ObjectId,
    /// Its pages.
    pub pages: u64,
    leaves: HashMap<u64, u32>,
    prev: u32,
    next: u32,
}

/// Up to 64 neighbouring pages of an object.
///
/// `bits`: which are there; `number`: the pages' index >> 6, or the next free leaf; `block`: their
/// entries, in order.
#[derive(Clone, Copy)]
struct Leaf {
    bits: u64,
    number: u64,
    object: u32,
    block: Block,
}

/// A leaf looked up last, so that neighbours need no search.
#[derive(Clone, Copy, Default)]
pub struct LeafCursor {
    known: Option<(u64, Option<u32>)>,
}

/// Pools by id, objects and leaves by number.
pub struct Index {
    /// How many pools there may be.
    pub pools_max: u64,
    pools: Vec<Option<Pool>>,
    pool_count: u64,
    objects: Vec<Option<Box<Object>>>,
    free_objects: Vec<u32>,
    object_count: u64,
    leaves: Vec<Leaf>,
    free_leaf: u32,
    leaf_count: usize,
    blocks: LeafBlocks,
}

impl Index {
    /// An index without pools.
    pub fn new(pools_max: u64) -> Self {
        Index {
            pools_max,
            pools: Vec::new(),
            pool_count: 0,
            objects: Vec::new(),
            free_objects: Vec::new(),
            object_count: 0,
            leaves: Vec::new(),
            free_leaf: NONE,
            leaf_count: 0,
            blocks: LeafBlocks::default(),
        }
    }

    // -- pools ------------------------------------------------------------------------------------

    /// The shared pool of that UUID and kind, or a new pool with the lowest free id.
    pub fn create_pool(&mut self, spec: PoolSpec) -> Result<u32, Error> {
        if let Some(uuid) = spec.uuid {
            let same = |pool: &Pool| {
                (pool.uuid, pool.kind, pool.foreign) == (Some(uuid), spec.kind, spec.foreign)
            };
            if let Some(id) = self
                .pools
                .iter()
                .position(|pool| pool.as_ref().is_some_and(same))
            {
                return Ok(id as u32);
            }
        }
        if self.pool_count >= self.pools_max {
            return Err(Error::PoolTableFull(self.pools_max));
        }
        let id = match self.pools.iter().position(Option::is_none) {
            Some(id) if self.pool_count < self.pools.len() as u64 => id,
            _ => {
                self.pools.push(None);
                self.pools.len() - 1
            }
        };
        let persistent = if spec.kind == PoolKind::Persistent {
            PERSISTENT
        } else {
            0
        };
        self.pools[id] = Some(Pool {
            kind: spec.kind,
            foreign: spec.foreign,
            frees_on_get: spec.uuid.is_none()
                && (spec.kind == PoolKind::Ephemeral || spec.exclusive),
            codec: spec.codec,
            flags: persistent | if spec.foreign { FOREIGN } else { 0 },
            blob_bytes: 0,
            pages: 0,
            uuid: spec.uuid,
            objects: HashMap::new(),
            first: NONE,
            last: NONE,
        });
        self.pool_count += 1;
        Ok(id as u32)
    }

    /// The pool of an id, of the node's own or (`foreign`) for others.
    #[inline]
    pub fn pool(&self, id: u32, foreign: bool) -> Result<&Pool, Error> {
        match self.pools.get(id as usize) {
            Some(Some(pool)) if pool.foreign == foreign => Ok(pool),
            _ => Err(Error::NoSuchPool),
        }
    }

    /// The pool of an id, own or foreign.
    pub fn any_pool(&self, id: u32) -> Result<&Pool, Error> {
        self.pools
            .get(id as usize)
            .and_then(Option::as_ref)
            .ok_or(Error::NoSuchPool)
    }

    /// The pool of an object, to be changed.
    pub fn pool_mut(&mut self, id: u32) -> &mut Pool {
        self.pools[id as usize]
            .as_mut()
            .expect("objects belong to pools that are there")
    }

    /// Every pool and its id.
    pub fn pools(&self) -> impl Iterator<Item = (u32, &Pool)> {
        let numbered = self.pools.iter().enumerate();
        numbered.filter_map(|(id, pool)| pool.as_ref().map(|pool| (id as u32, pool)))
    }

    /// Take a pool without pages out of the table.
    pub fn remove_pool(&mut self, id: u32) {
        debug_assert!(
            self.pools[id as usize]
                .as_ref()
                .is_some_and(|pool| pool.pages == 0)
        );
        self.pools[id as usize] = None;
        self.pool_count -= 1;
        while let Some(None) = self.pools.last() {
            self.pools.pop();
        }
    }

    /// How many pools there are.
    pub fn pool_count(&self) -> u64 {
        self.pool_count
    }

    /// How many objects there are.
    pub fn object_count(&self) -> u64 {
        self.object_count
    }

    // -- pages ------------------------------------------------------------------------------------

    /// The number of an object, if it has a page. None also where there is no such pool any more.
    #[inline]
    pub fn object_number(&self, pool: u32, id: &ObjectId) -> Option<u32> {
        let pool = self.pools.get(pool as usize)?.as_ref()?;
        pool.objects.get(id).copied()
    }

    /// An object by number.
    pub fn object(&self, number: u32) -> &Object {
        self.objects[number as usize]
            .as_ref()
            .expect("leaves belong to objects that are there")
    }

    /// The object whose page an entry holds.
    pub fn owner(&self, table: &PageTable, entry: u32) -> &Object {
        self.object(self.leaves[table[entry].leaf as usize].object)
    }

    /// The index of an entry's page.
    pub fn index_of(&self, table: &PageTable, entry: u32) -> u64 {
        let entry = &table[entry];
        self.leaves[entry.leaf as usize].number << 6 | u64::from(entry.slot())
    }

    /// The entry of a page, or 0.
    pub fn find(&self, pool: u32, object: &ObjectId, index: u64) -> u32 {
        match self.object_number(pool, object) {
            Some(number) => self.lookup(number, index, &mut LeafCursor::default()),
            None => 0,
        }
    }

    /// The entry of a page of an object, or 0. `cursor`: of lookups in the same object since it
    /// last changed.
    #[inline]
    pub fn lookup(&self, object: u32, index: u64, cursor: &mut LeafCursor) -> u32 {
        let number = index >> 6;
        let leaf = match cursor.known {
            Some((known, leaf)) if known == number => leaf,
            _ => {
                let leaf = self.object(object).leaves.get(&number).copied();
                cursor.known = Some((number, leaf));
                leaf
            }
        };
        match leaf {
            Some(leaf) => self.entry_in(&self.leaves[leaf as usize], (index & 63) as u32),
            None => 0,
        }
    }

    #[inline]
    fn entry_in(&self, leaf: &Leaf, slot: u32) -> u32 {
        if leaf.bits >> slot & 1 == 0 {
            return 0;
        }
        self.blocks.get(leaf.block)[rank(leaf.bits, slot)]
    }

    #[inline]
    fn is_object(&self, number: u32, pool: u32, id: &ObjectId) -> bool {
        let object = self.objects.get(number as usize).and_then(Option::as_ref);
        object.is_some_and(|object| object.pool == pool && object.id == *id)
    }

    /// Enter a page that is not there yet; the way back is entered in the table. `known`: the
    /// object's number, if it was looked up before; it may have gone since.
    pub fn insert(
        &mut self,
        table: &mut PageTable,
        pool: u32,
        object: &ObjectId,
        index: u64,
        entry: u32,
        known: Option<u32>,
    ) {
        let known = known.filter(|number| self.is_object(*number, pool, object));
        let number = match known.or_else(|| self.object_number(pool, object)) {
            Some(number) => number,
            None => self.insert_object(pool, object),
        };
        self.pool_mut(pool).pages += 1;
        let object = self.objects[number as usize]
            .as_mut()
            .expect("found or made just now");
        object.pages += 1;
        let slot = (index & 63) as u32;
        if let Some(leaf) = object.leaves.get(&(index >> 6)).copied() {
            self.insert_in_leaf(table, leaf, slot, entry);
            return;
        }
        let block = self.blocks.take(1);
        self.blocks.get_mut(block)[0] = entry;
        let leaf = Leaf {
            bits: 1 << slot,
            number: index >> 6,
            object: number,
            block,
        };
        let leaf_number = if self.free_leaf != NONE {
            let free = self.free_leaf;
            self.free_leaf = self.leaves[free as usize].number as u32;
            self.leaves[free as usize] = leaf;
            free
        } else {
            self.leaves.push(leaf);
            self.leaves.len() as u32 - 1
        };
        self.leaf_count += 1;
        let object = self.objects[number as usize]
            .as_mut()
            .expect("found or made just now");
        object.leaves.insert(index >> 6, leaf_number);
        table[entry].set_leaf(leaf_number, slot);
    }

    fn insert_in_leaf(&mut self, table: &mut PageTable, number: u32, slot: u32, entry: u32) {
        table[entry].set_leaf(number, slot);
        let Leaf { bits, block, .. } = self.leaves[number as usize];
        let pages = bits.count_ones() as usize;
        let block = if pages == block.capacity() {
            self.resize(table, number, pages + 1)
        } else {
            block
        };
        let at = rank(bits, slot);
        let entries = self.blocks.get_mut(block);
        entries.copy_within(at..pages, at + 1);
        entries[at] = entry;
        self.leaves[number as usize].bits |= 1 << slot;
    }

    /// Give a leaf a block for so many pages.
    fn resize(&mut self, table: &PageTable, number: u32, pages: usize) -> Block {
        let Leaf {
            bits, block: old, ..
        } = self.leaves[number as usize];
        let there = bits.count_ones() as usize;
        let mut entries = [0; 64];
        entries[..there].copy_from_slice(&self.blocks.get(old)[..there]);
        let block = self.blocks.take(pages);
        self.blocks.get_mut(block)[..there].copy_from_slice(&entries[..there]);
        self.leaves[number as usize].block = block;
        self.give_back_block(table, old);
        block
    }

    fn give_back_block(&mut self, table: &PageTable, block: Block) {
        if let Some(moved) = self.blocks.give_back(block) {
            let of = table[self.blocks.get(moved)[0]].leaf;
            self.leaves[of as usize].block = moved;
        }
    }

    /// Take a page out; an object that has none left goes too.
    pub fn remove(&mut self, table: &PageTable, entry: u32) {
        let number = table[entry].leaf;
        let slot = table[entry].slot();
        let Leaf {
            bits,
            block,
            object: owner,
            number: leaf_number,
        } = self.leaves[number as usize];
        let object = self.objects[owner as usize]
            .as_mut()
            .expect("leaves belong to objects");
        object.pages -= 1;
        let pool = object.pool;
        let object_gone = object.pages == 0;
        let left = bits & !(1 << slot);
        if left == 0 {
            object.leaves.remove(&leaf_number);
            // A table that is mostly empty gives memory back; hashbrown does not by itself.
            if object.leaves.capacity() > 64 && object.leaves.len() * 8 < object.leaves.capacity() {
                object.leaves.shrink_to(object.leaves.len() * 2);
            }
            self.give_back_block(table, block);
            self.free_leaf_number(number);
        } else {
            let pages = bits.count_ones() as usize;
            let at = rank(bits, slot);
            self.blocks.get_mut(block).copy_within(at + 1..pages, at);
            self.leaves[number as usize].bits = left;
            if (pages - 1) * 4 <= block.capacity() && block.capacity() > 1 {
                self.resize(table, number, block.capacity() / 2);
            }
        }
        self.pool_mut(pool).pages -= 1;
        if object_gone {
            self.remove_object(owner);
        }
    }

    fn free_leaf_number(&mut self, number: u32) {
        self.leaf_count -= 1;
        if self.leaf_count == 0 {
            self.leaves = Vec::new();
            self.free_leaf = NONE;
            return;
        }
        let leaf = &mut self.leaves[number as usize];
        leaf.bits = 0;
        leaf.number = u64::from(self.free_leaf);
        self.free_leaf = number;
    }

    /// A page got another entry number.
    pub fn renumber(&mut self, table: &PageTable, from: u32, to: u32) {
        let Leaf { bits, block, .. } = self.leaves[table[to].leaf as usize];
        let at = rank(bits, table[to].slot());
        debug_assert_eq!(self.blocks.get(block)[at], from);
        self.blocks.get_mut(block)[at] = to;
    }

    fn insert_object(&mut self, pool_id: u32, id: &ObjectId) -> u32 {
        let number = self.free_objects.pop().unwrap_or_else(|| {
            self.objects.push(None);
            self.objects.len() as u32 - 1
        });
        let pool = self.pools[pool_id as usize]
            .as_mut()
            .expect("the caller looked it up");
        let prev = pool.last;
        pool.objects.insert(*id, number);
        pool.last = number;
        if prev == NONE {
            pool.first = number;
        } else {
            self.objects[prev as usize].as_mut().expect("linked").next = number;
        }
        self.objects[number as usize] = Some(Box::new(Object {
            pool: pool_id,
            id: *id,
            pages: 0,
            leaves: HashMap::new(),
            prev,
            next: NONE,
        }));
        self.object_count += 1;
        number
    }

    fn remove_object(&mut self, number: u32) {
        let object = self.objects[number as usize]
            .take()
            .expect("the caller looked it up");
        let pool = self.pool_mut(object.pool);
        pool.objects.remove(&object.id);
        if pool.objects.is_empty() {
            pool.objects = HashMap::new();
        }
        if object.prev == NONE {
            pool.first = object.next;
        }
        if object.next == NONE {
            pool.last = object.prev;
        }
        if object.prev != NONE {
            self.objects[object.prev as usize]
                .as_mut()
                .expect("linked")
                .next = object.next;
        }
        if object.next != NONE {
            self.objects[object.next as usize]
                .as_mut()
                .expect("linked")
                .prev = object.prev;
        }
        self.object_count -= 1;
        if self.object_count == 0 {
            self.objects = Vec::new();
            self.free_objects = Vec::new();
        } else {
            self.free_objects.push(number);
        }
    }

    // -- walking ----------------------------------------------------------------------------------

    /// Up to `pages_max` entries of an object with start <= index <= last, in order; cost grows
    /// with pages, not range.
    pub fn walk(&self, object: u32, start: u64, last: u64, pages_max: usize) -> Vec<u32> {
        let mut found = Vec::new();
        self.walk_into(object, start, last, pages_max, &mut found);
        found
    }

    fn walk_into(
        &self,
        object: u32,
        start: u64,
        last: u64,
        pages_max: usize,
        found: &mut Vec<u32>,
    ) {
        if start > last || found.len() >= pages_max {
            return;
        }
        let leaves = &self.object(object).leaves;
        let (low, high) = (start >> 6, last >> 6);
        let mut look = |number: u64, leaf: u32| {
            let leaf = &self.leaves[leaf as usize];
            let mut bits = leaf.bits;
            let entries = self.blocks.get(leaf.block);
            let mut at = 0;
            while bits != 0 {
                let index = number << 6 | u64::from(bits.trailing_zeros());
                if start <= index && index <= last {
                    if found.len() >= pages_max {
                        return false;
                    }
                    found.push(entries[at]);
                }
                at += 1;
                bits &= bits - 1;
            }
            true
        };
        if high - low < leaves.len() as u64 {
            for number in low..=high {
                if let Some(leaf) = leaves.get(&number) {
                    if !look(number, *leaf) {
                        return;
                    }
                }
            }
        } else {
            let mut numbers: Vec<(u64, u32)> = leaves
                .iter()
                .filter(|(number, _)| low <= **number && **number <= high)
                .map(|(number, leaf)| (*number, *leaf))
                .collect();
            numbers.sort_unstable();
            for (number, leaf) in numbers {
                if !look(number, leaf) {
                    return;
                }
            }
        }
    }

    /// Up to `pages_max` entries of a pool, object by object in the order in which they came.
    pub fn walk_pool(&self, pool: u32, pages_max: usize) -> Vec<u32> {
        let mut found = Vec::new();
        let mut number = self.pools[pool as usize]
            .as_ref()
            .map_or(NONE, |pool| pool.first);
        while number != NONE && found.len() < pages_max {
            self.walk_into(number, 0, u64::MAX, pages_max, &mut found);
            number = self.object(number).next;
        }
        found
    }

    // -- figures ----------------------------------------------------------------------------------

    /// Bytes of everything kept here.
    pub fn metadata_bytes(&self) -> usize {
        let mut total = self.blocks.metadata_bytes()
            + self.leaves.capacity() * size_of::<Leaf>()
            + self.objects.capacity() * size_of::<Option<Box<Object>>>()
            + self.free_objects.capacity() * size_of::<u32>()
            + self.pools.capacity() * size_of::<Option<Pool>>();
        for pool in self.pools.iter().flatten() {
            total += pool.objects.allocation_size();
        }
        for object in self.objects.iter().flatten() {
            total += size_of::<Object>() + object.leaves.allocation_size();
        }
        total
    }

    /// What does not add up between index and table.
    pub fn verify(&self, table: &PageTable) -> Vec<String> {
        let mut found = Vec::new();
        let mut pages_seen = 0u64;
        let mut leaves_seen = 0;
        let mut objects_seen = 0;
        for (id, pool) in self.pools() {
            let mut number = pool.first;
            let (mut in_pool, mut pages) = (0, 0);
            while number != NONE && in_pool <= pool.objects.len() {
                let object = self.object(number);
                in_pool += 1;
                if object.pool != id || pool.objects.get(&object.id) != Some(&number) {
                    found.push(format!("object {number} is not where its pool looks"));
                }
                let mut in_object = 0;
                for (leaf_number, leaf_at) in &object.leaves {
                    let leaf = &self.leaves[*leaf_at as usize];
                    leaves_seen += 1;
                    if leaf.object != number || leaf.number != *leaf_number || leaf.bits == 0 {
                        found.push(format!("leaf {leaf_at} is not its object's"));
                    }
                    in_object += self.verify_leaf(table, pool, *leaf_at, &mut found);
                }
                if in_object != object.pages || in_object == 0 {
                    found.push(format!(
                        "an object counts {} pages and has {in_object}",
                        object.pages
                    ));
                }
                pages += in_object;
                number = object.next;
            }
            if in_pool != pool.objects.len() || pages != pool.pages {
                found.push(format!("pool {id} counts its objects or pages wrongly"));
            }
            objects_seen += in_pool as u64;
            pages_seen += pages;
        }
        if leaves_seen != self.leaf_count || objects_seen != self.object_count {
            found.push("objects or leaves are counted wrongly".into());
        }
        let there = table.counts.iter().sum::<u64>();
        if pages_seen != there {
            found.push(format!(
                "the index names {pages_seen} pages, {there} are there"
            ));
        }
        found
    }

    fn verify_leaf(
        &self,
        table: &PageTable,
        pool: &Pool,
        leaf_at: u32,
        found: &mut Vec<String>,
    ) -> u64 {
        let leaf = &self.leaves[leaf_at as usize];
        let pages = leaf.bits.count_ones() as usize;
        let mut bits = leaf.bits;
        for entry in &self.blocks.get(leaf.block)[..pages] {
            let slot = bits.trailing_zeros();
            bits &= bits - 1;
            let flags = table[*entry].flags();
            if (table[*entry].leaf, table[*entry].slot()) != (leaf_at, slot) {
                found.push(format!("entry {entry} is not where its handle says"));
            } else if flags & (FOREIGN | PERSISTENT) != pool.flags {
                found.push(format!("entry {entry} is of another kind than its pool"));
            }
        }
        pages as u64
    }
}

/// How many pages of a leaf come before a slot.
#[inline]
fn rank(bits: u64, slot: u32) -> usize {
    (bits & ((1u64 << slot) - 1)).count_ones() as usize
}
