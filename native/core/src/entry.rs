//! One entry of the page table: everything that is kept of a page beside its blob, in 32 bytes.
//!
//! Covers: packing and unpacking. Does not cover: which entries there are (`page_table.rs`).
//!
//! What a field holds depends on the state:
//!
//! | state       | link              | spot                  | blob       |
//! |-------------|-------------------|-----------------------|------------|
//! | FREE        | queue links       | -                     | -          |
//! | LOCAL       | queue links       | location, low half    | here       |
//! | TRANSIT     | checksum, high    | location, low half    | here       |
//! | AWAY        | where             | checksum, high half   | elsewhere  |
//! | SAME_FILLED | pattern           | -                     | none       |
//!
//! A local page keeps half of its blob's checksum: enough to find memory that went bad, and the
//! other half is computed again when the blob leaves.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::zsmalloc::Location;

/// Bits of the encoding.
pub const ENCODING_MASK: u8 = 0x03;
/// Bits of the state.
pub const STATE_MASK: u8 = 0x1C;
/// The entry holds no page.
pub const FREE: u8 = 0x00;
/// The blob is here, and the page is on its queue.
pub const LOCAL: u8 = 0x04;
/// The blob is here, and the page is part of an open ticket.
pub const TRANSIT: u8 = 0x08;
/// The blob is elsewhere.
pub const AWAY: u8 = 0x0C;
/// The page is one word over and over.
pub const SAME_FILLED: u8 = 0x10;
/// Hit since it was last passed over; spared once more (second chance).
pub const REFERENCED: u8 = 0x20;
/// Held for another node.
pub const FOREIGN: u8 = 0x40;
/// Of a persistent pool.
pub const PERSISTENT: u8 = 0x80;
/// The bits by which pages are counted.
pub const COUNT_MASK: u8 = STATE_MASK | FOREIGN | PERSISTENT;

const LENGTH_SHIFT: u32 = 8;
const LENGTH_MASK: u32 = 0x1FFF;
const SLOT_SHIFT: u32 = 21;
const SLOT_MASK: u32 = 0x3F;
const HIGH_SHIFT: u32 = 27;

/// The queue's head for a page of these flags: own or foreign, ephemeral or persistent.
pub const fn queue_of(flags: u8) -> u32 {
    1 + (flags >> 6) as u32
}

/// One entry.
///
/// `meta`: flags (8 bits), length (13), position in its leaf (6), highest bits of the location (5).
/// Readers that share the cache's lock set REFERENCED; all else changes under the exclusive lock.
#[repr(C, align(32))]
#[derive(Default)]
pub struct Entry {
    meta: AtomicU32,
    /// The leaf that leads to it.
    pub leaf: u32,
    checksum: u32,
    spot: u32,
    link: u64,
    /// Of the page.
    pub generation: u64,
}

const _: () = assert!(size_of::<Entry>() == 32);

// SAFETY: all fields are numbers; all zero they are a free entry.
unsafe impl crate::chunk::Zeroed for Entry {}

impl Entry {
    /// All flags.
    #[inline]
    pub fn flags(&self) -> u8 {
        self.meta.load(Relaxed) as u8
    }

    /// The state bits.
    #[inline]
    pub fn state(&self) -> u8 {
        self.flags() & STATE_MASK
    }

    /// Set all flags.
    pub fn set_flags(&mut self, flags: u8) {
        let meta = self.meta.get_mut();
        *meta = (*meta & !0xFF) | u32::from(flags);
    }

    /// Note a hit; may be called by several readers at once.
    #[inline]
    pub fn refer(&self) {
        if self.flags() & REFERENCED == 0 {
            self.meta.fetch_or(u32::from(REFERENCED), Relaxed);
        }
    }

    /// Bytes of the blob; 0 when same-filled.
    #[inline]
    pub fn length(&self) -> usize {
        (self.meta.load(Relaxed) >> LENGTH_SHIFT & LENGTH_MASK) as usize
    }

    /// Position within the leaf.
    pub fn slot(&self) -> u32 {
        self.meta.load(Relaxed) >> SLOT_SHIFT & SLOT_MASK
    }

    /// Enter the way back to the handle.
    pub fn set_leaf(&mut self, leaf: u32, slot: u32) {
        self.leaf = leaf;
        let meta = self.meta.get_mut();
        *meta = (*meta & !(SLOT_MASK << SLOT_SHIFT)) | slot << SLOT_SHIFT;
    }

    /// Where the blob lies; for pages that have one here.
    #[inline]
    pub fn location(&self) -> Location {
        let high = u64::from(self.meta.load(Relaxed) >> HIGH_SHIFT);
        Location::from_bits(high << 32 | u64::from(self.spot))
    }

    /// Enter where the blob lies.
    pub fn set_location(&mut self, at: Location) {
        let bits = at.bits();
        debug_assert!(bits < 1 << 37);
        self.spot = bits as u32;
        let meta = self.meta.get_mut();
        *meta = (*meta & ((1 << HIGH_SHIFT) - 1)) | ((bits >> 32) as u32) << HIGH_SHIFT;
    }

    /// Low half of the blob's checksum.
    #[inline]
    pub fn checksum_low(&self) -> u32 {
        self.checksum
    }

    /// The blob's checksum; for pages that are away or in transit.
    pub fn checksum(&self) -> u64 {
        let high = if self.state() == AWAY {
            u64::from(self.spot)
        } else {
            self.link
        };
        high << 32 | u64::from(self.checksum)
    }

    /// Where the copy of a page that is away lies.
    pub fn whereabouts(&self) -> u64 {
        self.link
    }

    /// Say where, for a page that is away.
    pub fn set_whereabouts(&mut self, whereabouts: u64) {
        self.link = whereabouts;
    }

    /// The word of a same-filled page.
    #[inline]
    pub fn pattern(&self) -> u64 {
        self.link
    }

    /// The entry before it on its queue.
    #[inline]
    pub fn prev(&self) -> u32 {
        self.link as u32
    }

    /// The entry behind it on its queue.
    #[inline]
    pub fn next(&self) -> u32 {
        (self.link >> 32) as u32
    }

    /// Set the entry before it.
    #[inline]
    pub fn set_prev(&mut self, prev: u32) {
        self.link = (self.link & !0xFFFF_FFFF) | u64::from(prev);
    }

    /// Set the entry behind it.
    #[inline]
    pub fn set_next(&mut self, next: u32) {
        self.link = (self.link & 0xFFFF_FFFF) | u64::from(next) << 32;
    }

    /// Make it local: everything but the queue links.
    pub fn fill_local(&mut self, flags: u8, length: usize, checksum: u64, at: Location) {
        let meta = self.meta.get_mut();
        *meta = (*meta & (SLOT_MASK << SLOT_SHIFT))
            | u32::from(flags)
            | (length as u32) << LENGTH_SHIFT;
        self.checksum = checksum as u32;
        self.set_location(at);
    }

    /// Make it same-filled.
    pub fn fill_same(&mut self, flags: u8, pattern: u64) {
        let meta = self.meta.get_mut();
        *meta = (*meta & (SLOT_MASK << SLOT_SHIFT)) | u32::from(flags);
        self.checksum = 0;
        self.link = pattern;
    }

    /// A local page that was taken off its queue goes into a ticket.
    pub fn enter_transit(&mut self, checksum: u64) {
        self.link = checksum >> 32;
    }

    /// A page in transit is away from now on; its blob here was freed.
    pub fn leave(&mut self, whereabouts: u64) {
        self.spot = self.link as u32;
        self.link = whereabouts;
    }

    /// Take over all of another entry; for entries that get another number.
    pub fn take_over(&mut self, other: &mut Entry) {
        std::mem::swap(self, other);
    }
}
