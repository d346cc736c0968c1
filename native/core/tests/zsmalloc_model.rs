//! The allocator beside a plain map of handles: contents survive anything, limits hold, and no
//! freed slot is another's.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use zcache_core::zsmalloc::{Location, Zsmalloc};

#[derive(Clone, Debug)]
enum Call {
    Store { length: usize, count: usize },
    Free(Index),
    FreeShare { seed: u8, of: u8 },
    Overwrite(Index, usize),
    Replace(Index, usize),
    Rename(Index),
    Compact(Option<u64>),
    CompactClass(Index, Option<u64>),
    SetLimit(u64),
    GiveBack,
}

fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 1..=4096_usize,
        2 => proptest::sample::select(vec![1, 24, 25, 600, 1500, 2040, 2500, 3000, 3256, 3257, 4096]),
    ]
}

fn any_call() -> impl Strategy<Value = Call> {
    let wanted = || proptest::option::of(0..10_u64);
    prop_oneof![
        4 => any_length().prop_map(|length| Call::Store { length, count: 1 }),
        4 => (any_length(), 2..60_usize)
            .prop_map(|(length, count)| Call::Store { length, count }),
        3 => any::<Index>().prop_map(Call::Free),
        2 => (any::<u8>(), 2..6_u8).prop_map(|(seed, of)| Call::FreeShare { seed, of }),
        2 => (any::<Index>(), any_length()).prop_map(|(at, length)| Call::Overwrite(at, length)),
        1 => (any::<Index>(), any_length()).prop_map(|(at, length)| Call::Replace(at, length)),
        1 => any::<Index>().prop_map(Call::Rename),
        2 => wanted().prop_map(Call::Compact),
        2 => (any::<Index>(), wanted()).prop_map(|(at, wanted)| Call::CompactClass(at, wanted)),
        1 => (0..120_u64).prop_map(Call::SetLimit),
        1 => Just(Call::GiveBack),
    ]
}

struct Model {
    zsmalloc: Zsmalloc,
    held: BTreeMap<u32, (Location, Vec<u8>)>,
    handles: u32,
}

impl Model {
    fn blob(&self, length: usize) -> Vec<u8> {
        let seed = self.handles as usize;
        (0..length)
            .map(|at| (at * 31 + seed * 7 + at / 251) as u8)
            .collect()
    }

    fn pick(&self, at: Index) -> Option<u32> {
        let count = self.held.len();
        (count > 0).then(|| *self.held.keys().nth(at.index(count)).unwrap())
    }

    /// Store a blob, which finds room if its class has a free slot or frames are left.
    fn store(&mut self, length: usize) {
        let blob = self.blob(length);
        let z = &mut self.zsmalloc;
        let class = z.class_of(length);
        let row = &z.class_stats()[class];
        let (used, open) = (z.frames_used(), row.obj_allocated > row.obj_used);
        let fits = open || used + z.class_frames(class) <= z.frames_max;
        let at = z.store(&blob, self.handles + 1, z.frames_max);
        assert_eq!(at.is_some(), fits);
        let wanted = if open || !fits {
            used
        } else {
            used + z.class_frames(class)
        };
        assert_eq!(z.frames_used(), wanted);
        if let Some(at) = at {
            assert!(at.bits() < 1 << 37);
            self.handles += 1;
            self.held.insert(self.handles, (at, blob));
        }
    }

    fn free(&mut self, handle: u32) {
        let (at, blob) = self.held.remove(&handle).unwrap();
        let used = self.zsmalloc.objects();
        assert_eq!(
            self.zsmalloc.free(at, blob.len()),
            self.zsmalloc.class_of(blob.len())
        );
        assert_eq!(self.zsmalloc.objects(), used - 1);
    }

    fn compact(&mut self, class: Option<usize>, wanted: Option<u64>) {
        let Self {
            zsmalloc: z, held, ..
        } = self;
        let (before, moves) = (z.frames_used(), z.objects_moved());
        let mut moved = 0;
        let mut note = |handle: u32, to: Location| {
            held.get_mut(&handle).unwrap().0 = to;
            moved += 1;
        };
        let given_back = match class {
            Some(class) => z.compact_class(class, wanted, &mut note),
            None => z.compact(wanted, &mut note),
        };
        assert_eq!(given_back, before - z.frames_used());
        assert_eq!(moved, z.objects_moved() - moves);
        if wanted.is_none() {
            for row in z.class_stats() {
                assert!(row.freeable == 0 || class.is_some_and(|class| class != row.class));
            }
        }
    }

    fn run(&mut self, call: &Call) {
        match *call {
            Call::Store { length, count } => (0..count).for_each(|_| self.store(length)),
            Call::Free(at) => {
                if let Some(handle) = self.pick(at) {
                    self.free(handle);
                }
            }
            Call::FreeShare { seed, of } => {
                let handles: Vec<u32> = self.held.keys().copied().collect();
                for handle in handles {
                    if (handle.wrapping_mul(2_654_435_761) >> 16) as u8 % of != seed % of {
                        self.free(handle);
                    }
                }
            }
            Call::Overwrite(at, length) => {
                let new = self.blob(length);
                let picked = self.pick(at);
                if let Some((at, old)) = picked.and_then(|handle| self.held.get_mut(&handle)) {
                    // A blob of the other length, if it is of the class; else of the same length.
                    let z = &mut self.zsmalloc;
                    *old = if z.same_class(old.len(), length) {
                        new
                    } else {
                        vec![9; old.len()]
                    };
                    z.overwrite(*at, old);
                }
            }
            Call::Replace(at, length) => {
                if let Some(handle) = self.pick(at) {
                    let old = self.held[&handle].1.clone();
                    let before = self.zsmalloc.frames_used();
                    self.free(handle);
                    let new = self.blob(length);
                    let z = &mut self.zsmalloc;
                    let held = match z.store(&new, handle, z.frames_max) {
                        Some(at) => (at, new),
                        // The old one always finds its place again.
                        None => (z.store(&old, handle, before).unwrap(), old),
                    };
                    self.held.insert(handle, held);
                }
            }
            Call::Rename(at) => {
                if let Some(handle) = self.pick(at) {
                    let (at, blob) = self.held.remove(&handle).unwrap();
                    self.handles += 1;
                    self.zsmalloc.set_handle(at, blob.len(), self.handles);
                    self.held.insert(self.handles, (at, blob));
                }
            }
            Call::Compact(wanted) => self.compact(None, wanted),
            Call::CompactClass(at, wanted) => {
                let picked = self.pick(at).map_or(1, |handle| self.held[&handle].1.len());
                self.compact(Some(self.zsmalloc.class_of(picked)), wanted);
            }
            Call::SetLimit(frames_max) => self.zsmalloc.set_limit(frames_max),
            Call::GiveBack => self.zsmalloc.give_back(),
        }
    }

    fn check(&self) {
        let z = &self.zsmalloc;
        for (&handle, (at, blob)) in &self.held {
            z.prefetch(*at, blob.len());
            assert_eq!(z.read(*at, blob.len()), blob);
            assert_eq!(z.handle_at(*at, blob.len()), handle);
            assert_eq!(Location::from_bits(at.bits()), *at);
        }
        let location_of = |handle| self.held.get(&handle).map(|(at, _)| *at);
        assert_eq!(z.verify(&location_of), [""; 0]);
        assert_eq!(z.objects(), self.held.len() as u64);
        assert!(z.frames_used() <= z.frames_ceiling());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 400 }))]

    #[test]
    fn all_calls_keep_contents_sums_and_limits(
        chain in proptest::sample::select(vec![4, 8, 16]),
        calls in proptest::collection::vec(any_call(), 1..60),
    ) {
        let mut model =
            Model { zsmalloc: Zsmalloc::new(100, chain), held: BTreeMap::new(), handles: 0 };
        for call in &calls {
            model.run(call);
            model.check();
        }
    }
}
