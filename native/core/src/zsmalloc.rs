//! The allocator of blobs: size classes, zspages, indirect handles, compaction (after Linux
//! mm/zsmalloc.c).
//!
//! Covers: storing, reading, freeing and moving blobs within a limit of frames; figures of the
//! classes. Does not cover: what a blob means, and what to drop when no frame is left. Read next:
//! `size_classes.rs` for the arithmetic, `zspage.rs` for the lists, `arena.rs` for the memory. The
//! twin of zcache/zsmalloc.py: the same calls lead to the same zspages, figures and moves.
//!
//! A handle is a small integer of the caller's, not 0, who keeps each handle's location and the
//! length of its blob. Objects move only in compaction, which tells the caller of each.
//!
//! Slots of classes that are not huge start with one word:
//!
//! ```text
//! in use  handle * 2 + 1
//! free    (next free slot + 1) * 2, 0 at the end of the list
//! ```
//!
//! A huge slot is one whole frame, and its handle is the zspage's record.
//!
//! Locations are trusted only as far as they are checked: a stale or made-up one may lead to
//! another blob's bytes or to a panic, never outside of the zspages' memory.

mod verify;

use crate::arena::Arena;
use crate::size_classes::{BANDS, FRAME_BYTES, HANDLE_BYTES, SizeClass, SizeClassTable};
use crate::zspage::{ClassLists, FULL_BAND, HANDLE_END, HugeZspage, Zspage};

/// Frames of closed zspages, in all, that may stay in memory to be used again: 1 MiB. They are not
/// counted as used. Above it, half of them are given back at a time.
pub const PENDING_FRAMES_MAX: usize = 256;

/// Names of the bands in class rows, as in the kernel's table.
pub const BAND_NAMES: [&str; BANDS - 1] = [
    "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%", "99%", "100%",
];

/// Where a blob lies, in 37 bits: of the huge class the frame's number, else zspage number << 8 |
/// slot. Numbers are per zspage length; the class follows from the blob's length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location(u64);

impl Location {
    /// The location as a number below 2^37.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The location of that number.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    fn of_slot(zspage: u32, slot: usize) -> Self {
        Self(u64::from(zspage) << 8 | slot as u64)
    }

    #[inline]
    fn zspage_and_slot(self) -> (u32, usize) {
        ((self.0 >> 8) as u32, (self.0 & 255) as usize)
    }

    #[inline]
    fn huge_zspage(self) -> u32 {
        self.0 as u32
    }
}

/// A row per class, columns as in the kernel's debugfs file zsmalloc/&lt;pool&gt;/classes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassRow {
    /// Number of the class.
    pub class: usize,
    /// Bytes a slot.
    pub size: usize,
    /// Zspages by band, as named by `BAND_NAMES`.
    pub bands: [u64; BANDS - 1],
    /// Slots.
    pub obj_allocated: u64,
    /// Slots in use.
    pub obj_used: u64,
    /// Frames.
    pub pages_used: u64,
    /// Frames a zspage.
    pub pages_per_zspage: u64,
    /// Frames that compaction can give back.
    pub freeable: i64,
}

struct Class {
    lists: ClassLists,
    /// Objects.
    used: u64,
    zspages: u64,
}

/// Blobs of 1..=4096 bytes in at most `frames_max` frames.
///
/// `frames_used` never rises above the limit given to `store`.
pub struct Zsmalloc {
    /// The limit in force; changed by `set_limit`.
    pub frames_max: u64,
    frames_ceiling: u64,
    frames_used: u64,
    frames_peak: u64,
    frames_compacted: u64,
    objects_moved: u64,
    table: SizeClassTable,
    classes: Vec<Class>,
    /// Zspages of classes that are not huge; those of n frames at n - 1.
    arenas: Vec<Arena<Zspage>>,
    huge: Arena<HugeZspage>,
    /// Frames of closed zspages that are still in memory.
    pending_frames: usize,
}

impl Zsmalloc {
    /// An allocator without blobs. Panics unless `chain_frames_max` is 4..=16.
    pub fn new(frames_max: u64, chain_frames_max: usize) -> Self {
        let table = SizeClassTable::new(chain_frames_max);
        let classes = table.classes.iter();
        Self {
            frames_max,
            frames_ceiling: frames_max,
            frames_used: 0,
            frames_peak: 0,
            frames_compacted: 0,
            objects_moved: 0,
            classes: classes
                .map(|class| Class {
                    lists: ClassLists::new(class),
                    used: 0,
                    zspages: 0,
                })
                .collect(),
            table,
            arenas: (1..=chain_frames_max).map(Arena::new).collect(),
            huge: Arena::new(1),
            pending_frames: 0,
        }
    }

    /// Change the limit. Use above it stays, and only falls.
    pub fn set_limit(&mut self, frames_max: u64) {
        self.frames_max = frames_max;
        self.frames_ceiling = frames_max.max(self.frames_used);
    }

    // -- blobs -----------------------------------------------------------------------------------

    /// Put a blob into the fullest open zspage of its class.
    ///
    /// None, and nothing changed, if that needs frames above `frames_limit` or the system refuses a
    /// mapping. Panics on a blob of more than 4096 bytes and on a handle above 2^32 - 2050.
    pub fn store(&mut self, blob: &[u8], handle: u32, frames_limit: u64) -> Option<Location> {
        let class = self.table.class_of(blob.len());
        if class == self.table.huge_class() {
            return self.store_huge(blob, handle, frames_limit);
        }
        let (zspage, slot) = match self.take_slot(class) {
            Some(found) => found,
            None => (self.open_zspage(class, frames_limit)?, 0),
        };
        let kind = self.table.classes[class];
        let bytes = self.arena_mut(kind).bytes_mut(
            zspage,
            slot * usize::from(kind.size),
            HANDLE_BYTES + blob.len(),
        );
        let (word, body) = bytes.split_at_mut(HANDLE_BYTES);
        word.copy_from_slice(&word_in_use(handle));
        body.copy_from_slice(blob);
        Some(Location::of_slot(zspage, slot))
    }

    /// The bytes of a blob.
    #[inline]
    pub fn read(&self, at: Location, length: usize) -> &[u8] {
        let kind = self.kind_of(length);
        if kind.huge {
            return self.huge.bytes(at.huge_zspage(), 0, length);
        }
        let (zspage, slot) = at.zspage_and_slot();
        self.arena(kind)
            .bytes(zspage, slot * usize::from(kind.size) + HANDLE_BYTES, length)
    }

    /// Hint that a blob will be read.
    #[inline]
    pub fn prefetch(&self, at: Location, length: usize) {
        let kind = self.kind_of(length);
        if kind.huge {
            self.huge.prefetch(at.huge_zspage(), 0, length);
        } else {
            let (zspage, slot) = at.zspage_and_slot();
            let offset = slot * usize::from(kind.size) + HANDLE_BYTES;
            self.arena(kind).prefetch(zspage, offset, length);
        }
    }

    /// Write another blob into a slot, of the same class as the one that is there.
    pub fn overwrite(&mut self, at: Location, blob: &[u8]) {
        let kind = self.kind_of(blob.len());
        let bytes = if kind.huge {
            self.huge.bytes_mut(at.huge_zspage(), 0, blob.len())
        } else {
            let (zspage, slot) = at.zspage_and_slot();
            let offset = slot * usize::from(kind.size) + HANDLE_BYTES;
            self.arena_mut(kind).bytes_mut(zspage, offset, blob.len())
        };
        bytes.copy_from_slice(blob);
    }

    /// Free the slot of a blob of that length; an emptied zspage's frames are not used any more.
    /// Returns the class.
    pub fn free(&mut self, at: Location, length: usize) -> usize {
        let class = self.table.class_of(length);
        let kind = self.table.classes[class];
        debug_assert_ne!(self.handle_at(at, length), 0, "freed twice");
        self.classes[class].used -= 1;
        if kind.huge {
            self.close_huge(at.huge_zspage());
            return class;
        }
        let (zspage, slot) = at.zspage_and_slot();
        let arena = &mut self.arenas[usize::from(kind.frames) - 1];
        let lists = &mut self.classes[class].lists;
        let record = arena.record_mut(zspage);
        let used = record.used();
        if used == 1 {
            lists.unlink(arena, zspage, lists.band(1));
            self.close_zspage(class, zspage);
            return class;
        }
        let next = record.give(slot);
        arena
            .bytes_mut(zspage, slot * usize::from(kind.size), HANDLE_BYTES)
            .copy_from_slice(&word_free(next));
        let (band, new_band) = (lists.band(used), lists.band(used - 1));
        if new_band != band {
            lists.unlink(arena, zspage, band);
            lists.link(arena, zspage, new_band);
        }
        class
    }

    /// Give a blob that stays where it is another handle.
    pub fn set_handle(&mut self, at: Location, length: usize, handle: u32) {
        let kind = self.kind_of(length);
        if kind.huge {
            *self.huge.record_mut(at.huge_zspage()) = huge_zspage(handle);
        } else {
            let (zspage, slot) = at.zspage_and_slot();
            self.arena_mut(kind)
                .bytes_mut(zspage, slot * usize::from(kind.size), HANDLE_BYTES)
                .copy_from_slice(&word_in_use(handle));
        }
    }

    /// The handle of the blob of that length at a location; 0 if there is none.
    pub fn handle_at(&self, at: Location, length: usize) -> u32 {
        let class = self.table.class_of(length);
        let kind = self.table.classes[class];
        if kind.huge {
            return match u32::try_from(at.0)
                .ok()
                .and_then(|zspage| self.huge.get(zspage))
            {
                Some(&HugeZspage(owner)) if owner < HANDLE_END => owner,
                _ => 0,
            };
        }
        let (zspage, slot) = at.zspage_and_slot();
        match self.arena(kind).get(zspage) {
            Some(record) if record.class() == class && slot < record.fresh() && at.0 < 1 << 40 => {
                handle_in(self.word_at(kind, zspage, slot)).unwrap_or(0)
            }
            _ => 0,
        }
    }

    // -- sizes -----------------------------------------------------------------------------------

    /// Number of the class of blobs of that length.
    #[inline]
    pub fn class_of(&self, length: usize) -> usize {
        self.table.class_of(length)
    }

    /// Bytes of the slot that a blob of that length occupies.
    #[inline]
    pub fn slot_bytes(&self, length: usize) -> u64 {
        u64::from(self.kind_of(length).size)
    }

    /// Whether blobs of the two lengths have the same class.
    #[inline]
    pub fn same_class(&self, a: usize, b: usize) -> bool {
        self.table.class_of(a) == self.table.class_of(b)
    }

    /// Blobs of at least this many bytes are better stored as whole pages.
    pub fn huge_length(&self) -> usize {
        self.table.huge_length
    }

    /// Frames a zspage of a class.
    pub fn class_frames(&self, class: usize) -> u64 {
        u64::from(self.table.classes[class].frames)
    }

    // -- compaction ------------------------------------------------------------------------------

    /// Zspages of a class that compaction can empty: whole ones that fit into its free slots.
    pub fn freeable_zspages(&self, class: usize) -> i64 {
        let objects = u64::from(self.table.classes[class].objects);
        let Class { used, zspages, .. } = self.classes[class];
        zspages as i64 - used.div_ceil(objects) as i64
    }

    /// Empty zspages, largest class first, until that many frames (None: all) are given back.
    ///
    /// `moved` is called once per moved object, after its move. Returns the frames given back.
    pub fn compact(
        &mut self,
        frames_wanted: Option<u64>,
        moved: &mut dyn FnMut(u32, Location),
    ) -> u64 {
        let mut given_back = 0;
        for class in (0..self.classes.len()).rev() {
            let wanted = frames_wanted.map(|wanted| wanted.saturating_sub(given_back));
            if wanted == Some(0) {
                break;
            }
            if self.classes[class].zspages > 1 {
                given_back += self.compact_class(class, wanted, moved);
            }
        }
        given_back
    }

    /// Move objects from the emptiest zspages of a class to the fullest; as `compact`.
    pub fn compact_class(
        &mut self,
        class: usize,
        frames_wanted: Option<u64>,
        moved: &mut dyn FnMut(u32, Location),
    ) -> u64 {
        let mut given_back = 0;
        while self.freeable_zspages(class) > 0 {
            if frames_wanted.is_some_and(|wanted| given_back >= wanted) {
                break;
            }
            self.evacuate_emptiest(class, moved);
            given_back += self.class_frames(class);
        }
        self.frames_compacted += given_back;
        given_back
    }

    /// Give back what closed zspages still hold, and unmap segments without open zspages.
    pub fn give_back(&mut self) {
        for arena in &mut self.arenas {
            arena.give_back();
        }
        self.huge.give_back();
        self.pending_frames = 0;
    }

    /// Move every object of the first zspage of the emptiest band into open ones, and close it.
    fn evacuate_emptiest(&mut self, class: usize, moved: &mut dyn FnMut(u32, Location)) {
        let kind = self.table.classes[class];
        let size = usize::from(kind.size);
        let arena = &mut self.arenas[usize::from(kind.frames) - 1];
        let lists = &mut self.classes[class].lists;
        let source = lists
            .emptiest()
            .expect("a class with freeable zspages has open ones");
        let (mut left, fresh) = (arena.record(source).used(), arena.record(source).fresh());
        // Off the lists it is set aside: allocation does not look there.
        lists.unlink(arena, source, lists.band(left));
        let mut blob = [0; FRAME_BYTES];
        for slot in 0..fresh {
            if left == 0 {
                break;
            }
            let Some(handle) = handle_in(self.word_at(kind, source, slot)) else {
                continue;
            };
            let (zspage, to) = self.take_slot(class).expect("free slots were counted");
            // The blob's length is the caller's business: the whole slot moves, as in the kernel.
            let blob = &mut blob[..size];
            let arena = self.arena_mut(kind);
            blob.copy_from_slice(arena.bytes(source, slot * size, size));
            arena
                .bytes_mut(zspage, to * size, size)
                .copy_from_slice(blob);
            self.classes[class].used -= 1;
            self.objects_moved += 1;
            left -= 1;
            moved(handle, Location::of_slot(zspage, to));
        }
        self.close_zspage(class, source);
    }

    // -- zspages ---------------------------------------------------------------------------------

    /// Take a slot of the fullest open zspage of a class; None if it has no open ones.
    fn take_slot(&mut self, class: usize) -> Option<(u32, usize)> {
        let kind = self.table.classes[class];
        let size = usize::from(kind.size);
        let Class {
            lists,
            used: class_used,
            ..
        } = &mut self.classes[class];
        let arena = &mut self.arenas[usize::from(kind.frames) - 1];
        let zspage = lists.fullest()?;
        let record = arena.record_mut(zspage);
        let used = record.used();
        let slot = match record.take() {
            Err(fresh) => fresh,
            Ok(freed) => {
                let next = word_of(arena.bytes(zspage, freed * size, HANDLE_BYTES)) >> 1;
                arena.record_mut(zspage).freed = next.saturating_sub(1) as u8;
                freed
            }
        };
        *class_used += 1;
        let (band, new_band) = (lists.band(used), lists.band(used + 1));
        if new_band != band {
            lists.unlink(arena, zspage, band);
            lists.link(arena, zspage, new_band);
        }
        Some((zspage, slot))
    }

    /// Open a zspage whose first slot is taken.
    fn open_zspage(&mut self, class: usize, frames_limit: u64) -> Option<u32> {
        let frames = usize::from(self.table.classes[class].frames);
        let frames_used = self.frames_within(frames, frames_limit)?;
        let arena = &mut self.arenas[frames - 1];
        let pending = arena.pending();
        let zspage = arena.open(Zspage::with_first_slot(class))?;
        self.pending_frames -= (pending - arena.pending()) * frames;
        let Class {
            lists,
            used,
            zspages,
        } = &mut self.classes[class];
        lists.link(arena, zspage, lists.band(1));
        *used += 1;
        *zspages += 1;
        self.set_frames_used(frames_used);
        Some(zspage)
    }

    /// Close a zspage that is on no list any more.
    fn close_zspage(&mut self, class: usize, zspage: u32) {
        let frames = usize::from(self.table.classes[class].frames);
        let arena = &mut self.arenas[frames - 1];
        // Closing may unmap a segment together with its pending zspages.
        self.pending_frames -= arena.pending() * frames;
        arena.close(zspage);
        self.pending_frames += arena.pending() * frames;
        self.classes[class].zspages -= 1;
        self.frames_used -= frames as u64;
        self.bound_pending();
    }

    fn store_huge(&mut self, blob: &[u8], handle: u32, frames_limit: u64) -> Option<Location> {
        let frames_used = self.frames_within(1, frames_limit)?;
        let pending = self.huge.pending();
        let zspage = self.huge.open(huge_zspage(handle))?;
        self.pending_frames -= pending - self.huge.pending();
        self.huge
            .bytes_mut(zspage, 0, blob.len())
            .copy_from_slice(blob);
        let class = &mut self.classes[self.table.huge_class()];
        class.used += 1;
        class.zspages += 1;
        class.lists.counts[FULL_BAND] += 1;
        self.set_frames_used(frames_used);
        Some(Location(u64::from(zspage)))
    }

    fn close_huge(&mut self, zspage: u32) {
        self.pending_frames -= self.huge.pending();
        self.huge.close(zspage);
        self.pending_frames += self.huge.pending();
        let class = &mut self.classes[self.table.huge_class()];
        class.zspages -= 1;
        class.lists.counts[FULL_BAND] -= 1;
        self.frames_used -= 1;
        self.bound_pending();
    }

    fn frames_within(&self, frames: usize, frames_limit: u64) -> Option<u64> {
        Some(self.frames_used + frames as u64).filter(|&frames_used| frames_used <= frames_limit)
    }

    fn set_frames_used(&mut self, frames_used: u64) {
        self.frames_used = frames_used;
        self.frames_peak = self.frames_peak.max(frames_used);
    }

    #[inline]
    fn bound_pending(&mut self) {
        if self.pending_frames > PENDING_FRAMES_MAX {
            self.halve_pending();
        }
    }

    #[cold]
    fn halve_pending(&mut self) {
        self.huge.discard_pending(self.huge.pending() / 2);
        self.pending_frames = self.huge.pending();
        for (arena, frames) in self.arenas.iter_mut().zip(1..) {
            arena.discard_pending(arena.pending() / 2);
            self.pending_frames += arena.pending() * frames;
        }
    }

    #[inline]
    fn kind_of(&self, length: usize) -> SizeClass {
        self.table.classes[self.table.class_of(length)]
    }

    #[inline]
    fn arena(&self, kind: SizeClass) -> &Arena<Zspage> {
        &self.arenas[usize::from(kind.frames) - 1]
    }

    #[inline]
    fn arena_mut(&mut self, kind: SizeClass) -> &mut Arena<Zspage> {
        &mut self.arenas[usize::from(kind.frames) - 1]
    }

    #[inline]
    fn word_at(&self, kind: SizeClass, zspage: u32, slot: usize) -> u64 {
        word_of(
            self.arena(kind)
                .bytes(zspage, slot * usize::from(kind.size), HANDLE_BYTES),
        )
    }

    // -- figures ---------------------------------------------------------------------------------

    /// Frames of open zspages.
    pub fn frames_used(&self) -> u64 {
        self.frames_used
    }

    /// Frames in memory beside those of open zspages: on their way back to the system, or asked
    /// for ahead.
    pub fn frames_kept(&self) -> u64 {
        let arenas: usize = self.arenas.iter().map(Arena::frames_kept).sum();
        (arenas + self.huge.frames_kept()) as u64
    }

    /// The highest value of `frames_used` so far.
    pub fn frames_peak(&self) -> u64 {
        self.frames_peak
    }

    /// What use may be at most: the limit, or the use when the limit was put below it.
    pub fn frames_ceiling(&self) -> u64 {
        self.frames_ceiling
    }

    /// Frames given back by compaction so far.
    pub fn frames_compacted(&self) -> u64 {
        self.frames_compacted
    }

    /// Objects moved by compaction so far.
    pub fn objects_moved(&self) -> u64 {
        self.objects_moved
    }

    /// Open zspages.
    pub fn zspages(&self) -> u64 {
        self.classes.iter().map(|class| class.zspages).sum()
    }

    /// Slots in use.
    pub fn objects(&self) -> u64 {
        self.classes.iter().map(|class| class.used).sum()
    }

    /// The table of classes, ascending by size.
    pub fn class_stats(&self) -> Vec<ClassRow> {
        let rows = self.table.classes.iter().zip(&self.classes).enumerate();
        rows.map(|(number, (kind, class))| {
            let frames = u64::from(kind.frames);
            ClassRow {
                class: number,
                size: usize::from(kind.size),
                bands: std::array::from_fn(|band| u64::from(class.lists.counts[band + 1])),
                obj_allocated: class.zspages * u64::from(kind.objects),
                obj_used: class.used,
                pages_used: class.zspages * frames,
                pages_per_zspage: frames,
                freeable: self.freeable_zspages(number) * i64::from(kind.frames),
            }
        })
        .collect()
    }

    /// Bytes that the allocator takes beside the frames.
    pub fn metadata_bytes(&self) -> usize {
        let lists: usize = self
            .classes
            .iter()
            .map(|class| class.lists.metadata_bytes())
            .sum();
        let arenas: usize = self.arenas.iter().map(Arena::metadata_bytes).sum();
        size_of::<Self>()
            + self.table.metadata_bytes()
            + self.classes.capacity() * size_of::<Class>()
            + self.arenas.capacity() * size_of::<Arena<Zspage>>()
            + lists
            + arenas
            + self.huge.metadata_bytes()
    }
}

fn huge_zspage(handle: u32) -> HugeZspage {
    assert!(handle < HANDLE_END, "the handle is too large");
    HugeZspage(handle)
}

#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a word of 8 bytes"))
}

#[inline]
fn word_in_use(handle: u32) -> [u8; HANDLE_BYTES] {
    (u64::from(handle) << 1 | 1).to_le_bytes()
}

#[inline]
fn word_free(next: Option<usize>) -> [u8; HANDLE_BYTES] {
    (next.map_or(0, |slot| slot as u64 + 1) << 1).to_le_bytes()
}

/// The handle of a slot in use.
#[inline]
fn handle_in(word: u64) -> Option<u32> {
    (word & 1 == 1).then_some((word >> 1) as u32)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;
