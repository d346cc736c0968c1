//! The allocator's debug check: every count, list and slot, recomputed from scratch. The twin of
//! `verify_allocator` in zcache/verify.py.

use std::collections::BTreeSet;

use super::{Location, Zsmalloc, handle_in};
use crate::arena::Arena;
use crate::size_classes::{BANDS, SizeClass};
use crate::zspage::{FULL_BAND, HugeZspage};

impl Zsmalloc {
    /// What does not add up, a line for each finding. `location_of` is where the caller looks for
    /// a handle's blob.
    pub fn verify(&self, location_of: &dyn Fn(u32) -> Option<Location>) -> Vec<String> {
        let mut found = Vec::new();
        let mut frames = 0;
        for (class, kind) in self.table.classes.iter().enumerate() {
            let (used, zspages) = if kind.huge {
                self.verify_huge(location_of, &mut found)
            } else {
                self.verify_class(class, *kind, location_of, &mut found)
            };
            if (used, zspages) != (self.classes[class].used, self.classes[class].zspages) {
                found.push(format!(
                    "class {class} counts its objects or zspages wrongly"
                ));
            }
            frames += zspages * u64::from(kind.frames);
        }
        if frames != self.frames_used {
            found.push(format!(
                "{frames} frames in zspages, {} counted",
                self.frames_used
            ));
        }
        if self.frames_used > self.frames_ceiling || self.frames_used > self.frames_peak {
            found.push(format!(
                "{} frames are above the limit or the peak",
                self.frames_used
            ));
        }
        found.extend(self.arenas.iter().flat_map(Arena::verify));
        found.extend(self.huge.verify());
        let arenas = self.arenas.iter().zip(1..);
        let pending: usize = arenas.map(|(arena, frames)| arena.pending() * frames).sum();
        if pending + self.huge.pending() != self.pending_frames {
            found.push(format!(
                "{} pending frames are counted wrongly",
                self.pending_frames
            ));
        }
        let live: usize = self.arenas.iter().map(|arena| arena.live().count()).sum();
        if live as u64 + self.classes[self.table.huge_class()].zspages != self.zspages() {
            found.push("zspages are open and on no list".into());
        }
        found
    }

    /// Objects and zspages of the huge class.
    fn verify_huge(
        &self,
        location_of: &dyn Fn(u32) -> Option<Location>,
        found: &mut Vec<String>,
    ) -> (u64, u64) {
        let mut zspages = 0;
        for (number, &HugeZspage(owner)) in self.huge.live() {
            zspages += 1;
            if location_of(owner) != Some(Location(u64::from(number))) {
                found.push(format!("huge zspage {number} is not where its owner looks"));
            }
        }
        if u64::from(self.classes[self.table.huge_class()].lists.counts[FULL_BAND]) != zspages {
            found.push("the huge class counts its zspages wrongly".into());
        }
        (zspages, zspages)
    }

    /// Objects and zspages of another class, as its lists have them.
    fn verify_class(
        &self,
        class: usize,
        kind: SizeClass,
        location_of: &dyn Fn(u32) -> Option<Location>,
        found: &mut Vec<String>,
    ) -> (u64, u64) {
        let (mut used, mut zspages, mut open_bands) = (0, 0, 0);
        let arena = self.arena(kind);
        let lists = &self.classes[class].lists;
        for band in 0..BANDS {
            let members = lists.members(arena, band);
            zspages += members.len() as u64;
            if members.len() != lists.counts[band] as usize {
                found.push(format!(
                    "class {class} band {band} counts its zspages wrongly"
                ));
            }
            if !members.is_empty() && band != FULL_BAND {
                open_bands |= 1 << band;
            }
            for zspage in members {
                let record = arena.record(zspage);
                used += record.used() as u64;
                if record.class() != class {
                    found.push(format!(
                        "class {class} lists zspage {zspage} of another class"
                    ));
                } else if band == 0 || lists.band(record.used()) != band {
                    found.push(format!(
                        "zspage {zspage} of class {class} is in the wrong band"
                    ));
                } else if let Some(what) = self.verify_slots(kind, zspage, location_of) {
                    found.push(format!("zspage {zspage} of class {class} {what}"));
                }
            }
        }
        if open_bands != lists.open_bands {
            found.push(format!("class {class} has a wrong mask of open bands"));
        }
        (used, zspages)
    }

    /// Slots of one zspage: used and listed as free add up, and every owner points back.
    fn verify_slots(
        &self,
        kind: SizeClass,
        zspage: u32,
        location_of: &dyn Fn(u32) -> Option<Location>,
    ) -> Option<&'static str> {
        let record = self.arena(kind).record(zspage);
        let fresh = record.fresh();
        if fresh > usize::from(kind.objects) {
            return Some("has more slots than fit");
        }
        let mut used = BTreeSet::new();
        for slot in 0..fresh {
            if let Some(handle) = handle_in(self.word_at(kind, zspage, slot)) {
                used.insert(slot);
                if location_of(handle) != Some(Location::of_slot(zspage, slot)) {
                    return Some("has a slot that is not where its owner looks");
                }
            }
        }
        let mut free = BTreeSet::new();
        let mut next = if record.used() == fresh {
            0
        } else {
            u64::from(record.freed) + 1
        };
        while next != 0 {
            let slot = next as usize - 1;
            if slot >= fresh || !free.insert(slot) {
                return Some("has a broken list of free slots");
            }
            next = self.word_at(kind, zspage, slot) >> 1;
        }
        if !used.is_disjoint(&free) || used.len() != record.used() {
            return Some("has a broken list of free slots");
        }
        (used.len() + free.len() != fresh).then_some("has lost slots")
    }
}
