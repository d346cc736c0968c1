//! Storing pages that were encoded already: new ones, replacements, refusals.
//!
//! Covers: puts of own pages, under the exclusive lock. Does not cover: encoding (`codec.rs`),
//! making room (`reclaim.rs`), foreign pages (`lending.rs`).
//!
//! A failed put leaves the handle absent, or, with `keep_old`, what it was before. An ephemeral
//! page may vanish at any time, so there `keep_old` promises nothing and is not observed.

use crate::codec::Encoding;
use crate::entries::Entries;
use crate::entry::{LOCAL, PERSISTENT, TRANSIT};
use crate::error::Error;
use crate::index::LeafCursor;
use crate::page::ObjectId;
use crate::zsmalloc::Location;

const NO_FRAME: &str = "no frame is left within the limit";
const OLD_STAYS: &str = "no frame is left within the limit; the old page stays";
const STILL_ABOVE: &str = "the limit was hit, and use is still above the accept watermark";

/// A page that was encoded.
#[derive(Clone, Copy)]
pub enum Encoded<'a> {
    /// A blob, how it encodes its page, and its checksum.
    Blob(&'a [u8], Encoding, u64),
    /// The word that fills the page.
    Same(u64),
    /// It does not compress, and such pages are refused.
    Refused,
}

impl Entries {
    /// Store a page, in place of any earlier one; counted.
    pub fn put(
        &mut self,
        pool: u32,
        object: &ObjectId,
        index: u64,
        page: Encoded<'_>,
        keep_old: bool,
    ) -> Result<(), Error> {
        let flags = self.index.pool(pool, false)?.flags;
        self.counters.puts += 1;
        let keep_old = keep_old && flags & PERSISTENT != 0;
        let known = self.index.object_number(pool, object);
        let mut entry = known.map_or(0, |known| {
            self.index.lookup(known, index, &mut LeafCursor::default())
        });
        if entry != 0 {
            self.note_peaks();
        }
        match page {
            Encoded::Refused => {
                if entry != 0 && !keep_old {
                    self.drop_page(entry);
                }
                self.counters.puts_refused_poor += 1;
                return Err(Error::Poor { stored: 0 });
            }
            Encoded::Same(pattern) => {
                if entry != 0 {
                    self.release(entry);
                } else {
                    entry = self.table.take();
                    self.insert(pool, object, index, entry, known);
                }
                let generation = self.table.next_generation();
                self.fill_same(entry, flags, pattern, generation);
                self.counters.stored_same_filled += 1;
            }
            Encoded::Blob(blob, encoding, checksum) => {
                let at = if entry != 0 {
                    self.store_again(entry, blob, keep_old)?
                } else {
                    let at;
                    (entry, at) = self.store_first(flags, blob)?;
                    self.insert(pool, object, index, entry, known);
                    at
                };
                self.counters.stored_incompressible += u64::from(encoding == Encoding::Raw);
                let generation = self.table.next_generation();
                let flags = flags | encoding as u8;
                self.fill_local(entry, flags, blob.len(), checksum, at, generation);
            }
        }
        self.counters.puts_stored += 1;
        Ok(())
    }

    /// What a put is while the cache is frozen.
    pub fn put_as_flush(&mut self, pool: u32, object: &ObjectId, index: u64) {
        self.note_peaks();
        let entry = self.find(pool, object, index);
        if entry != 0 {
            self.drop_page(entry);
        }
        self.counters.puts += 1;
        self.counters.puts_frozen += 1;
    }

    /// Store the blob of a page that is new; its entry and where.
    fn store_first(&mut self, flags: u8, blob: &[u8]) -> Result<(u32, Location), Error> {
        if self.refusing && flags & PERSISTENT != 0 {
            if self.zsmalloc.frames_used() > self.frames_under(self.config.accept_watermark) {
                return Err(self.full(STILL_ABOVE, 0));
            }
            self.refusing = false;
        }
        let entry = self.table.take();
        match self.store_with_room(blob, entry) {
            Some(at) => Ok((entry, at)),
            None => {
                self.table.give_back(entry);
                Err(self.full(NO_FRAME, flags))
            }
        }
    }

    /// Store the blob of a page that replaces another; the entry holds nothing else then.
    ///
    /// When refused, the page is absent, or with `keep_old` as it was.
    fn store_again(&mut self, entry: u32, blob: &[u8], keep_old: bool) -> Result<Location, Error> {
        let page = &self.table[entry];
        let (flags, length) = (page.flags(), page.length());
        let holds_blob = matches!(page.state(), LOCAL | TRANSIT);
        if holds_blob && self.zsmalloc.same_class(length, blob.len()) {
            let at = page.location();
            self.zsmalloc.overwrite(at, blob);
            self.release_in_place(entry);
            return Ok(at);
        }
        if !keep_old {
            self.release(entry);
            // Nothing leads to the entry meanwhile but its handle, and dropping ephemeral pages
            // touches no such entry.
            return match self.store_with_room(blob, entry) {
                Some(at) => Ok(at),
                None => {
                    self.discard_unfilled(entry);
                    Err(self.full(NO_FRAME, flags))
                }
            };
        }
        if let Some(at) = self.store_with_room(blob, entry) {
            self.release(entry);
            return Ok(at);
        }
        if holds_blob {
            if let Some(at) = self.swap_blob(entry, blob) {
                return Ok(at);
            }
        }
        Err(self.full(OLD_STAYS, flags))
    }

    /// Store a blob in the room of the old one and whatever else is free; None, and all as before,
    /// if too little.
    ///
    /// The old blob can always go back: its slot, or the frames of its zspage, are still free.
    fn swap_blob(&mut self, entry: u32, blob: &[u8]) -> Option<Location> {
        let frames_before = self.zsmalloc.frames_used();
        let (at, length) = (self.table[entry].location(), self.table[entry].length());
        let old = self.zsmalloc.read(at, length).to_vec();
        self.zsmalloc.free(at, length);
        if let Some(at) = self.zsmalloc.store(blob, entry, self.zsmalloc.frames_max) {
            self.release_in_place(entry);
            return Some(at);
        }
        let back = self.zsmalloc.store(&old, entry, frames_before);
        self.table[entry].set_location(back.expect("a freed slot can be taken again"));
        None
    }

    /// Count a refusal, and begin to refuse where so configured.
    fn full(&mut self, reason: &'static str, flags: u8) -> Error {
        self.counters.puts_refused_full += 1;
        if flags & PERSISTENT != 0 && self.config.accept_watermark < 1.0 {
            self.refusing = true;
        }
        Error::Full { reason, stored: 0 }
    }
}
