//! The same calls as tests/zcache/zsmalloc_trace.py makes, held against what the Python allocator
//! did with them. The two must draw the same numbers in the same order.

use super::tests::{Numbers, Owner};
use super::*;

/// Written by `python -m tests.zcache.zsmalloc_trace`.
const TRACE: &str = include_str!("../../tests/data/zsmalloc_trace.txt");

/// The shortest blob of a call and how many lengths there are; few, so that classes fill.
const LENGTHS: [(usize, usize); 5] = [(1, 120), (600, 100), (1500, 40), (3000, 100), (1, 4096)];

struct Run {
    owner: Owner,
    numbers: Numbers,
    frames_base: u64,
    /// Handles, in the order that the calls choose by.
    held: Vec<u32>,
}

impl Run {
    fn new(chain_frames_max: usize, frames_max: u64) -> Self {
        Self {
            owner: Owner::new(frames_max, chain_frames_max),
            numbers: Numbers(chain_frames_max as u64),
            frames_base: frames_max,
            held: Vec::new(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.numbers.below(end as u64) as usize
    }

    fn length(&self, at: usize) -> usize {
        self.owner.blobs[&self.held[at]].1.len()
    }

    /// One call, or several of one kind; returns its name.
    fn step(&mut self) -> &'static str {
        let frames_max = self.owner.zsmalloc.frames_max;
        match self.below(16) {
            ..6 => {
                let count = 1 + self.below(40);
                let (shortest, span) = LENGTHS[self.below(LENGTHS.len())];
                for _ in 0..count {
                    let length = shortest + self.below(span);
                    self.store(length, frames_max);
                }
                "store"
            }
            6..8 => {
                for _ in 0..(1 + self.below(20)).min(self.held.len()) {
                    let at = self.below(self.held.len());
                    self.free(at);
                }
                "free"
            }
            8 => {
                let percent = 10 + self.below(80);
                for at in (0..self.held.len()).rev() {
                    if self.below(100) < percent {
                        self.free(at);
                    }
                }
                "free-share"
            }
            9..11 => {
                for _ in 0..self.held.len().min(10) {
                    let at = self.below(self.held.len());
                    let length = self.length(at);
                    let shorter = length.saturating_sub(self.below(16)).max(1);
                    self.overwrite(at, length, shorter);
                }
                "overwrite"
            }
            11 => {
                self.owner.compact(None);
                "compact"
            }
            12 => {
                let wanted = 1 + self.below(8) as u64;
                self.owner.compact(Some(wanted));
                "compact-some"
            }
            13 => {
                let length = match self.held.len() {
                    0 => 1,
                    count => {
                        let at = self.below(count);
                        self.length(at)
                    }
                };
                let wanted = Some(self.below(4) as u64).filter(|&wanted| wanted > 0);
                self.owner.compact_class(length, wanted);
                "compact-class"
            }
            14 => {
                let frames_max = self.frames_base / 2 + self.numbers.below(self.frames_base);
                self.owner.zsmalloc.set_limit(frames_max);
                "set-limit"
            }
            _ => {
                if !self.held.is_empty() {
                    let at = self.below(self.held.len());
                    let length = self.length(at);
                    let frames_before = self.owner.zsmalloc.frames_used();
                    self.free(at);
                    let new_length = 1 + self.below(4096);
                    if !self.store(new_length, frames_max) {
                        assert!(self.store(length, frames_before));
                    }
                }
                "replace"
            }
        }
    }

    fn store(&mut self, length: usize, frames_limit: u64) -> bool {
        let seed = self.owner.handles.into();
        let handle = self
            .owner
            .store_within(tests::blob(length, seed), frames_limit);
        self.held.extend(handle);
        handle.is_some()
    }

    fn free(&mut self, at: usize) {
        let handle = self.held.swap_remove(at);
        self.owner.drop(handle);
    }

    fn overwrite(&mut self, at: usize, length: usize, new_length: usize) {
        if self.owner.zsmalloc.same_class(length, new_length) {
            let held = self.owner.blobs.get_mut(&self.held[at]).unwrap();
            held.1 = tests::blob(new_length, 5);
            self.owner.zsmalloc.overwrite(held.0, &held.1);
        }
    }

    /// The class table, then the zspages of each list and their slots, mixed into 64 bits.
    fn digest(&self) -> u64 {
        let zsmalloc = &self.owner.zsmalloc;
        let mut values = Vec::new();
        for row in zsmalloc.class_stats() {
            values.extend([row.class as u64, row.size as u64]);
            values.extend(row.bands);
            values.extend([
                row.obj_allocated,
                row.obj_used,
                row.pages_used,
                row.pages_per_zspage,
            ]);
            values.push(row.freeable as u64);
        }
        for class in 0..zsmalloc.table.huge_class() {
            let kind = zsmalloc.table.classes[class];
            for band in 1..BANDS {
                for zspage in zsmalloc.classes[class]
                    .lists
                    .members(zsmalloc.arena(kind), band)
                {
                    values.push((class * BANDS + band) as u64);
                    let slots = 0..zsmalloc.arena(kind).record(zspage).fresh();
                    values.extend(slots.map(|slot| {
                        u64::from(handle_in(zsmalloc.word_at(kind, zspage, slot)).unwrap_or(0))
                    }));
                }
            }
        }
        values
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |mixed: u64, value| {
                (mixed ^ value).wrapping_mul(0x100_0000_01B3)
            })
    }
}

#[test]
fn every_call_does_what_the_python_allocator_does() {
    let mut wanted = TRACE.lines();
    let mut runs = 0;
    while let Some(head) = wanted.next() {
        let head: Vec<u64> = head
            .split(' ')
            .skip(1)
            .map(|word| word.parse().unwrap())
            .collect();
        let mut run = Run::new(head[0] as usize, head[1]);
        for (number, wanted) in (0..head[2]).zip(&mut wanted) {
            let name = run.step();
            let z = &run.owner.zsmalloc;
            let found = format!(
                "{number} {name} {} {} {} {} {} {} {:016x}",
                z.frames_used(),
                z.frames_peak(),
                z.frames_ceiling(),
                z.frames_compacted(),
                z.objects_moved(),
                run.held.len(),
                run.digest()
            );
            assert_eq!(found, wanted, "in a run of chains up to {}", head[0]);
            run.owner.check();
        }
        runs += 1;
    }
    assert_eq!(runs, 3);
}
