//! Records of zspages, and the lists that keep them by class and fullness.
//!
//! Covers: fullness bands, list links, counts by band. Does not cover: slots and bytes
//! (`zsmalloc.rs`), numbers and memory (`arena.rs`). The twin of zcache/zspage.py.
//!
//! Lists are last in, first out: a zspage that enters a band becomes its first. Huge zspages are on
//! no list; they are always full.

use crate::arena::{Arena, Record};
use crate::size_classes::{BANDS, SizeClass};

/// The band of zspages without a free slot.
pub(crate) const FULL_BAND: usize = BANDS - 1;

/// No zspage: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// Handles from here on are links of closed huge zspages.
pub(crate) const HANDLE_END: u32 = u32::MAX - crate::arena::SEGMENT_ZSPAGES as u32;

const CLOSED: u8 = u8::MAX;

/// What is known about a zspage of a class that is not huge: 12 bytes.
///
/// An open zspage has at least one slot in use, so the counts are kept less one and 256 fits. Slots
/// that were used and freed are on a list threaded through the slots; there are `fresh - used` of
/// them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zspage {
    prev: u32,
    next: u32,
    used_less_one: u8,
    fresh_less_one: u8,
    /// First of the list of freed slots, if there are any.
    pub freed: u8,
    class: u8,
}

const _: () = assert!(size_of::<Zspage>() == 12);

impl Zspage {
    /// A zspage whose first slot is in use.
    pub fn with_first_slot(class: usize) -> Self {
        Self {
            prev: NONE,
            next: NONE,
            used_less_one: 0,
            fresh_less_one: 0,
            freed: 0,
            class: class as u8,
        }
    }

    /// Slots in use.
    pub fn used(&self) -> usize {
        usize::from(self.used_less_one) + 1
    }

    /// Slots ever used; those above need no list entry.
    pub fn fresh(&self) -> usize {
        usize::from(self.fresh_less_one) + 1
    }

    /// The class's number; no class's for a closed zspage.
    pub fn class(&self) -> usize {
        usize::from(self.class)
    }

    /// The next of the list.
    pub fn next(&self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }

    /// One more slot in use: the first freed one, which the caller takes off the list, or
    /// (`Err`) the next fresh one.
    pub fn take(&mut self) -> Result<usize, usize> {
        let has_freed = self.used_less_one != self.fresh_less_one;
        self.used_less_one += 1;
        if has_freed {
            return Ok(usize::from(self.freed));
        }
        self.fresh_less_one += 1;
        Err(usize::from(self.fresh_less_one))
    }

    /// One slot less in use, not the last one. Returns the freed slot that it shall link to.
    pub fn give(&mut self, slot: usize) -> Option<usize> {
        let next = (self.used_less_one != self.fresh_less_one).then_some(usize::from(self.freed));
        self.used_less_one -= 1;
        self.freed = slot as u8;
        next
    }
}

impl Record for Zspage {
    fn closed(next: u16) -> Self {
        Self {
            next: u32::from(next),
            ..Self::with_first_slot(usize::from(CLOSED))
        }
    }

    fn next_closed(&self) -> Option<u16> {
        (self.class == CLOSED).then_some(self.next as u16)
    }
}

/// What is known about a huge zspage: the handle of its only object. 4 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HugeZspage(pub u32);

impl Record for HugeZspage {
    fn closed(next: u16) -> Self {
        Self(u32::MAX - u32::from(next))
    }

    fn next_closed(&self) -> Option<u16> {
        (self.0 >= HANDLE_END).then_some((u32::MAX - self.0) as u16)
    }
}

/// The zspages of one class, by fullness.
#[derive(Clone, Debug)]
pub(crate) struct ClassLists {
    /// First zspage of each band.
    first: [u32; BANDS],
    /// Zspages by band.
    pub counts: [u32; BANDS],
    /// Bit b is set while band b (below full) has zspages.
    pub open_bands: u16,
    /// Slots in use (0..=objects) -> fullness band: 0 empty, 1..=10 by tenths, 11 full.
    bands: Box<[u8]>,
}

impl ClassLists {
    /// Empty lists.
    pub fn new(class: &SizeClass) -> Self {
        Self {
            first: [NONE; BANDS],
            counts: [0; BANDS],
            open_bands: 0,
            bands: band_table(usize::from(class.objects)),
        }
    }

    /// The band of zspages with that many slots in use.
    #[inline]
    pub fn band(&self, used: usize) -> usize {
        usize::from(self.bands[used])
    }

    /// The zspage that takes the next object: the first of the fullest open band.
    #[inline]
    pub fn fullest(&self) -> Option<u32> {
        let band = self.open_bands.checked_ilog2()?;
        Some(self.first[band as usize])
    }

    /// The first zspage of the emptiest band.
    pub fn emptiest(&self) -> Option<u32> {
        let found = self.first.get(self.open_bands.trailing_zeros() as usize)?;
        Some(*found)
    }

    /// Put a zspage at the head of a band's list.
    pub fn link(&mut self, zspages: &mut Arena<Zspage>, number: u32, band: usize) {
        let after = std::mem::replace(&mut self.first[band], number);
        let record = zspages.record_mut(number);
        (record.prev, record.next) = (NONE, after);
        if after != NONE {
            zspages.record_mut(after).prev = number;
        }
        self.counts[band] += 1;
        if band != FULL_BAND {
            self.open_bands |= 1 << band;
        }
    }

    /// Take a zspage off its band's list.
    pub fn unlink(&mut self, zspages: &mut Arena<Zspage>, number: u32, band: usize) {
        let &Zspage { prev, next, .. } = zspages.record(number);
        if prev == NONE {
            self.first[band] = next;
        } else {
            zspages.record_mut(prev).next = next;
        }
        if next != NONE {
            zspages.record_mut(next).prev = prev;
        }
        self.counts[band] -= 1;
        if self.first[band] == NONE {
            self.open_bands &= !(1 << band);
        }
    }

    /// Numbers of the zspages on one list, first to last; at most one more than counted.
    pub fn members(&self, zspages: &Arena<Zspage>, band: usize) -> Vec<u32> {
        let first = (self.first[band] != NONE).then_some(self.first[band]);
        std::iter::successors(first, |&number| zspages.get(number)?.next())
            .take(self.counts[band] as usize + 1)
            .collect()
    }

    /// Bytes on the heap.
    pub fn metadata_bytes(&self) -> usize {
        self.bands.len()
    }
}

fn band_table(objects: usize) -> Box<[u8]> {
    (0..=objects)
        .map(|used| match used {
            0 => 0,
            _ if used == objects => FULL_BAND as u8,
            _ => (100 * used / objects / 10 + 1) as u8,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_classes::SizeClassTable;

    #[test]
    fn bands_are_the_twelve_of_the_kernel() {
        for objects in 1..=256 {
            let bands = band_table(objects);
            assert_eq!(bands.len(), objects + 1);
            assert_eq!(usize::from(bands[objects]), FULL_BAND);
            assert_eq!(bands[0], 0);
            for used in 1..objects {
                let (band, percent) = (usize::from(bands[used]), 100 * used / objects);
                assert!((band - 1) * 10 <= percent && percent < band * 10);
            }
        }
    }

    #[test]
    fn moving_between_bands_keeps_lists_counts_and_mask() {
        let mut lists = ClassLists::new(&SizeClassTable::new(8).classes[9]);
        let mut arena = Arena::new(1);
        let zspages: Vec<u32> = (0..3)
            .map(|_| arena.open(Zspage::with_first_slot(9)).unwrap())
            .collect();
        for &number in &zspages {
            lists.link(&mut arena, number, 1);
        }
        assert_eq!(
            lists.members(&arena, 1),
            [zspages[2], zspages[1], zspages[0]]
        );
        assert_eq!(lists.open_bands, 1 << 1);
        lists.unlink(&mut arena, zspages[1], 1);
        lists.link(&mut arena, zspages[1], 4);
        assert_eq!(lists.members(&arena, 1), [zspages[2], zspages[0]]);
        assert_eq!(lists.open_bands, 1 << 1 | 1 << 4);
        assert_eq!(
            (lists.fullest(), lists.emptiest()),
            (Some(zspages[1]), Some(zspages[2]))
        );
        lists.unlink(&mut arena, zspages[1], 4);
        lists.link(&mut arena, zspages[1], FULL_BAND);
        assert_eq!(lists.open_bands, 1 << 1);
        assert_eq!(lists.members(&arena, FULL_BAND), [zspages[1]]);
        assert_eq!(lists.counts[FULL_BAND], 1);
        lists.unlink(&mut arena, zspages[2], 1);
        lists.unlink(&mut arena, zspages[0], 1);
        assert_eq!(lists.open_bands, 0);
        assert_eq!((lists.fullest(), lists.emptiest()), (None, None));
    }

    #[test]
    fn counts_of_slots_reach_256() {
        let mut zspage = Zspage::with_first_slot(0);
        for slot in 1..256 {
            assert_eq!(zspage.take(), Err(slot));
        }
        assert_eq!((zspage.used(), zspage.fresh()), (256, 256));
        assert_eq!(zspage.give(255), None);
        assert_eq!(zspage.give(0), Some(255));
        assert_eq!(zspage.take(), Ok(0));
        assert_eq!((zspage.used(), zspage.fresh()), (255, 256));
    }

    #[test]
    fn closed_records_are_told_from_open_ones() {
        assert_eq!(Zspage::with_first_slot(191).next_closed(), None);
        assert_eq!(HugeZspage(HANDLE_END - 1).next_closed(), None);
        assert_eq!(HugeZspage(0).next_closed(), None);
        for next in [0, 1, crate::arena::SEGMENT_ZSPAGES as u16] {
            assert_eq!(Zspage::closed(next).next_closed(), Some(next));
            assert_eq!(HugeZspage::closed(next).next_closed(), Some(next));
        }
    }
}
