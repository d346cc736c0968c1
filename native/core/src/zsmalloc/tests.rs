use std::collections::HashMap;

use super::*;
use crate::arena::AHEAD_FRAMES_MAX;

/// A caller of the allocator: handles 1.. and what they should hold.
pub(super) struct Owner {
    pub zsmalloc: Zsmalloc,
    pub blobs: HashMap<u32, (Location, Vec<u8>)>,
    pub handles: u32,
}

impl Owner {
    pub fn new(frames_max: u64, chain_frames_max: usize) -> Self {
        let zsmalloc = Zsmalloc::new(frames_max, chain_frames_max);
        Self {
            zsmalloc,
            blobs: HashMap::new(),
            handles: 0,
        }
    }

    fn store(&mut self, blob: Vec<u8>) -> Option<u32> {
        self.store_within(blob, self.zsmalloc.frames_max)
    }

    /// As `store`, with a limit for once.
    pub fn store_within(&mut self, blob: Vec<u8>, frames_limit: u64) -> Option<u32> {
        let at = self.zsmalloc.store(&blob, self.handles + 1, frames_limit)?;
        self.handles += 1;
        self.blobs.insert(self.handles, (at, blob));
        Some(self.handles)
    }

    pub fn drop(&mut self, handle: u32) {
        let (at, blob) = self.blobs.remove(&handle).unwrap();
        let class = self.zsmalloc.free(at, blob.len());
        assert_eq!(class, self.zsmalloc.class_of(blob.len()));
    }

    pub fn compact(&mut self, frames_wanted: Option<u64>) -> u64 {
        let blobs = &mut self.blobs;
        self.zsmalloc.compact(frames_wanted, &mut |handle, to| {
            blobs.get_mut(&handle).unwrap().0 = to;
        })
    }

    /// As `compact`, for the class of that length.
    pub fn compact_class(&mut self, length: usize, frames_wanted: Option<u64>) -> u64 {
        let blobs = &mut self.blobs;
        let class = self.zsmalloc.class_of(length);
        self.zsmalloc
            .compact_class(class, frames_wanted, &mut |handle, to| {
                blobs.get_mut(&handle).unwrap().0 = to;
            })
    }

    pub fn check(&self) {
        for (&handle, (at, blob)) in &self.blobs {
            assert_eq!(self.zsmalloc.read(*at, blob.len()), blob);
            assert_eq!(self.zsmalloc.handle_at(*at, blob.len()), handle);
        }
        assert_eq!(self.zsmalloc.objects(), self.blobs.len() as u64);
        let location_of = |handle| self.blobs.get(&handle).map(|(at, _)| *at);
        assert_eq!(self.zsmalloc.verify(&location_of), [""; 0]);
    }

    fn resident_frames(&self) -> usize {
        self.zsmalloc
            .arenas
            .iter()
            .map(Arena::resident_frames)
            .sum::<usize>()
            + self.zsmalloc.huge.resident_frames()
    }
}

/// A plain generator (splitmix64), so that tests are the same on every run.
pub(super) struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

pub(super) fn blob(length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    (0..length).map(|_| numbers.next() as u8).collect()
}

#[test]
fn every_length_is_stored_and_read_back() {
    for chain in [4, 8, 16] {
        let mut owner = Owner::new(20_000, chain);
        for length in 1..=FRAME_BYTES {
            for seed in 0..2 {
                owner.store(blob(length, seed)).unwrap();
            }
        }
        owner.check();
    }
}

#[test]
fn store_changes_nothing_when_frames_are_missing() {
    let mut owner = Owner::new(2, 8);
    assert!(owner.store(blob(4096, 1)).is_some());
    assert!(owner.store(blob(4096, 2)).is_some());
    assert!(owner.store(blob(4096, 3)).is_none());
    assert!(owner.store(blob(100, 3)).is_none());
    assert_eq!(
        (owner.zsmalloc.frames_used(), owner.zsmalloc.frames_peak()),
        (2, 2)
    );
    owner.check();
}

#[test]
fn a_zspage_is_not_begun_when_only_some_of_its_frames_are_there() {
    let table = SizeClassTable::new(8);
    let long = table
        .classes
        .iter()
        .find(|class| class.frames == 7)
        .unwrap();
    let length = usize::from(long.size) - HANDLE_BYTES;
    let mut owner = Owner::new(6, 8);
    assert!(owner.store(blob(length, 1)).is_none());
    assert_eq!(owner.zsmalloc.frames_used(), 0);
    owner.zsmalloc.set_limit(7);
    assert!(owner.store(blob(length, 1)).is_some());
    owner.check();
}

#[test]
fn allocation_takes_the_fullest_zspage() {
    let mut owner = Owner::new(1000, 8);
    let objects = u32::from(owner.zsmalloc.kind_of(1000).objects);
    // With fewer than ten slots a zspage, one object is a band of its own.
    assert!(objects < 11);
    for seed in 0..3 * objects {
        owner.store(blob(1000, u64::from(seed)));
    }
    owner.drop(1);
    owner.drop(1 + objects);
    owner.drop(2 + objects);
    let handle = owner.store(blob(1000, 99)).unwrap();
    let zspage = |handle: u32| owner.blobs[&handle].0.zspage_and_slot().0;
    assert_eq!(zspage(handle), zspage(2));
}

#[test]
fn a_freed_slot_is_used_again_before_a_fresh_one() {
    let mut owner = Owner::new(1000, 8);
    for seed in 0..4 {
        owner.store(blob(700, seed));
    }
    let freed = [owner.blobs[&2].0, owner.blobs[&4].0];
    owner.drop(2);
    owner.drop(4);
    owner.check();
    let again = [5, 6].map(|seed| owner.store(blob(700, seed)).unwrap());
    assert_eq!(
        again.map(|handle| owner.blobs[&handle].0),
        [freed[1], freed[0]]
    );
    owner.check();
}

#[test]
fn emptied_zspages_give_their_frames_back() {
    let mut owner = Owner::new(20_000, 8);
    let mut numbers = Numbers(1);
    for seed in 0..8000 {
        owner
            .store(blob(1 + numbers.below(4096) as usize, seed))
            .unwrap();
    }
    let used = owner.zsmalloc.frames_used() as usize;
    assert!(owner.resident_frames() > used * 9 / 10);
    for handle in 1..=8000 {
        owner.drop(handle);
    }
    assert_eq!(
        (owner.zsmalloc.frames_used(), owner.zsmalloc.zspages()),
        (0, 0)
    );
    let arenas = 8 + 1;
    assert!(owner.resident_frames() <= PENDING_FRAMES_MAX + arenas * AHEAD_FRAMES_MAX);
    owner.check();
    owner.zsmalloc.give_back();
    assert_eq!(owner.resident_frames(), 0);
    owner.check();
}

#[test]
fn frames_of_closed_zspages_are_bounded_and_used_again() {
    let mut owner = Owner::new(20_000, 8);
    for seed in 0..3000 {
        owner
            .store(blob(if seed % 2 == 0 { 4096 } else { 2500 }, seed))
            .unwrap();
    }
    for handle in 1..=3000 {
        owner.drop(handle);
        assert!(owner.zsmalloc.pending_frames <= PENDING_FRAMES_MAX);
    }
    owner.check();
    let resident = owner.resident_frames();
    let pending = owner.zsmalloc.huge.pending();
    assert!(pending > 10);
    for seed in 0..pending as u64 {
        owner.store(blob(4096, seed)).unwrap();
    }
    assert_eq!(owner.resident_frames(), resident);
    owner.check();
}

#[test]
fn class_stats_sum_to_the_totals() {
    let mut owner = Owner::new(5000, 8);
    let mut numbers = Numbers(3);
    for seed in 0..3000 {
        owner
            .store(blob(1 + numbers.below(4096) as usize, seed))
            .unwrap();
    }
    for handle in (1..=3000).step_by(3) {
        owner.drop(handle);
    }
    let rows = owner.zsmalloc.class_stats();
    let pages: u64 = rows.iter().map(|row| row.pages_used).sum();
    assert_eq!(pages, owner.zsmalloc.frames_used());
    assert_eq!(
        rows.iter().map(|row| row.obj_used).sum::<u64>(),
        owner.blobs.len() as u64
    );
    for row in &rows {
        assert_eq!(
            row.bands.iter().sum::<u64>() * row.pages_per_zspage,
            row.pages_used
        );
    }
    let zspages: u64 = rows.iter().flat_map(|row| row.bands).sum();
    assert_eq!(zspages, owner.zsmalloc.zspages());
}

fn fragmented(seed: u64) -> Owner {
    let mut owner = Owner::new(20_000, 8);
    let mut numbers = Numbers(seed);
    for seed in 0..4000 {
        owner
            .store(blob(1 + numbers.below(3599) as usize, seed))
            .unwrap();
    }
    for handle in 1..=4000 {
        if numbers.below(10) >= 4 {
            owner.drop(handle);
        }
    }
    owner
}

#[test]
fn compaction_reaches_what_the_class_table_promises() {
    for seed in 0..5 {
        let mut owner = fragmented(seed);
        let before = owner.zsmalloc.class_stats();
        let (used, peak) = (owner.zsmalloc.frames_used(), owner.zsmalloc.frames_peak());
        let given_back = owner.compact(None);
        assert!(given_back > 0);
        assert_eq!(given_back, used - owner.zsmalloc.frames_used());
        assert_eq!(given_back, owner.zsmalloc.frames_compacted());
        for (before, after) in before.iter().zip(owner.zsmalloc.class_stats()) {
            let free_slots = before.obj_allocated - before.obj_used;
            let objects = owner.zsmalloc.table.classes[before.class].objects;
            let promised = free_slots / u64::from(objects) * before.pages_per_zspage;
            assert_eq!(before.freeable, promised as i64);
            assert_eq!(before.pages_used - after.pages_used, promised);
        }
        assert_eq!(owner.zsmalloc.frames_peak(), peak);
        owner.check();
        assert_eq!(owner.compact(None), 0);
    }
}

#[test]
fn compaction_stops_at_the_number_of_frames_asked_for() {
    let mut owner = fragmented(7);
    let before = owner.zsmalloc.frames_used();
    assert_eq!(owner.compact(Some(0)), 0);
    let given_back = owner.compact(Some(5));
    assert!((5..=5 + 7).contains(&given_back));
    assert_eq!(owner.zsmalloc.frames_used(), before - given_back);
    owner.check();
}

#[test]
fn an_overwrite_stays_within_its_slot() {
    let mut owner = Owner::new(1000, 8);
    for seed in 0..50 {
        owner.store(blob(500, seed));
    }
    assert!(owner.zsmalloc.same_class(500, 504));
    assert!(!owner.zsmalloc.same_class(500, 505));
    let (at, held) = owner.blobs.get_mut(&20).unwrap();
    *held = blob(504, 77);
    owner.zsmalloc.overwrite(*at, held);
    owner.check();
}

#[test]
fn a_blob_can_get_another_handle() {
    let mut owner = Owner::new(1000, 8);
    for length in [600, 4096] {
        let old = owner.store(blob(length, 1)).unwrap();
        let held = owner.blobs.remove(&old).unwrap();
        owner.zsmalloc.set_handle(held.0, length, 1000 + old);
        owner.blobs.insert(1000 + old, held);
    }
    owner.check();
}

#[test]
fn no_handle_is_found_where_no_blob_is() {
    let mut owner = Owner::new(1000, 8);
    for (length, other) in [(600, 900), (4096, 600), (3700, 4)] {
        let handle = owner.store(blob(length, 1)).unwrap();
        let at = owner.blobs[&handle].0;
        assert_eq!(owner.zsmalloc.handle_at(at, other), 0);
        for bits in [at.bits() + 1, u64::MAX, 1 << 36, 1 << 40 | at.bits()] {
            assert_eq!(
                owner.zsmalloc.handle_at(Location::from_bits(bits), length),
                0
            );
        }
        owner.drop(handle);
        assert_eq!(owner.zsmalloc.handle_at(at, length), 0);
    }
}

#[test]
fn a_zspage_used_again_shows_nothing_of_its_old_slots() {
    let mut owner = Owner::new(1000, 8);
    let handles: Vec<u32> = (0..6)
        .map(|seed| owner.store(blob(700, seed)).unwrap())
        .collect();
    let second = owner.blobs[&handles[1]].0;
    for handle in handles {
        owner.drop(handle);
    }
    let again = owner.store(blob(700, 9)).unwrap();
    assert_eq!(
        owner.blobs[&again].0.zspage_and_slot().0,
        second.zspage_and_slot().0
    );
    assert_eq!(owner.zsmalloc.handle_at(second, 700), 0);
    owner.check();
}

#[test]
#[should_panic(expected = "out of bounds")]
fn a_location_without_memory_panics() {
    let _ = Zsmalloc::new(10, 8)
        .read(Location::from_bits(1 << 30), 100)
        .len();
}

#[test]
fn findings_name_what_is_broken() {
    let mut owner = Owner::new(1000, 8);
    for length in [600, 4096] {
        owner.store(blob(length, 1));
    }
    let nowhere = |_| None;
    assert_eq!(owner.zsmalloc.verify(&nowhere).len(), 2);
    owner.zsmalloc.frames_used += 1;
    assert_eq!(owner.zsmalloc.verify(&nowhere).len(), 4);
}

#[test]
fn records_take_little_beside_the_frames() {
    let mut owner = Owner::new(100_000, 8);
    let zeros = vec![7; 1500];
    for handle in 1..=100_000 {
        owner.zsmalloc.store(&zeros, handle, 100_000).unwrap();
    }
    assert!(owner.zsmalloc.metadata_bytes() < 3 * 100_000);
}

#[test]
fn the_allocator_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Zsmalloc>();
}
