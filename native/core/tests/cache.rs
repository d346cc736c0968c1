//! The whole cache: many pages, several threads, and a model.
//!
//! Covers: giving back a page table that is mostly empty, operations side by side, random histories
//! against a map. Does not cover: equality with the Python cache (`tests/parity`), the allocator
//! (`zsmalloc_model.rs`), blobs (`codec.rs`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use zcache_core::page::{Blobs, GetFree, Indexes, PAGE_SIZE, PoolKind, RestoreStatus};
use zcache_core::{Answer, Cache, Config, Error, Pages, PoolSpec, Wheres};

const OBJECT: [u64; 3] = [7, 0, 1 << 63];
const PERSISTENT: PoolSpec = PoolSpec {
    kind: PoolKind::Persistent,
    exclusive: false,
    uuid: None,
    foreign: false,
    codec: None,
};

/// A page that is like no other, of which a part compresses.
fn page(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut page = vec![0; PAGE_SIZE];
    for word in page[..64 + (seed % 24) as usize * 8].chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    page[PAGE_SIZE - 8..].copy_from_slice(&seed.to_le_bytes());
    page
}

fn put(cache: &Cache, pool: u32, index: u64, seed: u64) -> Result<(), Error> {
    let page = page(seed);
    cache.put_many(
        pool,
        &OBJECT,
        Indexes::Run(index, 1),
        Pages::new(&page),
        false,
    )
}

fn get(cache: &Cache, pool: u32, index: u64) -> Option<Vec<u8>> {
    let mut into = [0; PAGE_SIZE];
    match cache
        .get(pool, &OBJECT, index, &mut into, GetFree::ByKind)
        .unwrap()
    {
        Answer::Absent => None,
        Answer::Present => Some(into.to_vec()),
        Answer::Away(away) => panic!("away: {away:?}"),
    }
}

fn cache_of(frames: u64) -> (Cache, u32) {
    let cache = Cache::new(Config {
        pool_bytes_max: frames * 4096,
        ..Config::default()
    });
    let pool = cache.create_pool(PERSISTENT).unwrap();
    (cache, pool)
}

#[test]
fn a_page_table_that_is_mostly_empty_is_given_back_and_pages_elsewhere_keep_their_numbers() {
    const PAGES: u64 = 100_000;
    for slices in [false, true] {
        let (cache, pool) = cache_of(1 << 20);
        for index in 0..PAGES {
            put(&cache, pool, index, index).unwrap();
        }
        // Of the first pages, which have low numbers, some are away, and some in a ticket.
        let away = cache
            .begin_spill(u64::MAX, PoolKind::Persistent, 100)
            .unwrap()
            .unwrap();
        assert_eq!(
            cache.finish_spill(away.id, Wheres::One(5), None).unwrap(),
            100
        );
        let ticket = cache
            .begin_spill(u64::MAX, PoolKind::Persistent, 100)
            .unwrap()
            .unwrap();
        let before = cache.stats().unwrap().get("metadata_bytes");
        let stays = |index: u64| index < 200 || index * 7919 % 10 == 3;
        for index in (0..PAGES).filter(|index| !stays(*index)) {
            assert!(cache.flush(pool, &OBJECT, index).unwrap());
        }
        cache.verify().unwrap();
        if slices {
            for _ in 0..40 {
                cache.compact(Some(8)).unwrap();
            }
        } else {
            cache.compact(None).unwrap();
        }
        cache.verify().unwrap();
        let after = cache.stats().unwrap().get("metadata_bytes");
        assert!(
            after * 4 < before * 3,
            "{before} bytes before, {after} after"
        );
        for index in (200..PAGES).filter(|index| stays(*index)) {
            assert_eq!(get(&cache, pool, index), Some(page(index)), "page {index}");
        }
        let stubs = cache
            .peek_away(pool, &OBJECT, Indexes::Run(0, 100))
            .unwrap();
        assert_eq!(stubs.keys, away.blobs.keys);
        cache.cancel_spill(ticket.id, false).unwrap();
        cache.verify().unwrap();
        for index in 100..200 {
            assert_eq!(get(&cache, pool, index), Some(page(index)));
        }
    }
}

#[test]
fn threads_that_do_everything_at_once_see_whole_pages_and_leave_sums_that_add_up() {
    const SHARED: u64 = 64;
    // Room for some of it, so that puts are refused now and then.
    let (cache, pool) = cache_of(96);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3u64)
            .map(|number| {
                let (cache, stop) = (&cache, &stop);
                scope.spawn(move || {
                    let own = 1000 * (number + 1);
                    let mut kept = HashMap::new();
                    for round in 0..600u64 {
                        let index = round * 7 % SHARED;
                        // Shared pages say themselves which they are; own ones are known.
                        let _ = put(cache, pool, index, round << 8 | index);
                        if let Some(found) = get(cache, pool, (index * 5 + number) % SHARED) {
                            let seed =
                                u64::from_le_bytes(found[PAGE_SIZE - 8..].try_into().unwrap());
                            assert_eq!(found, page(seed));
                        }
                        let mine = own + round % 40;
                        match put(cache, pool, mine, round) {
                            Ok(()) => kept.insert(mine, round),
                            Err(_) => kept.remove(&mine),
                        };
                        let looked = own + round * 3 % 40;
                        let wanted = kept.get(&looked).map(|seed| page(*seed));
                        assert_eq!(get(cache, pool, looked), wanted);
                        if round % 5 == 0 {
                            cache.flush(pool, &OBJECT, own + round % 11).unwrap();
                            kept.remove(&(own + round % 11));
                        }
                    }
                    stop.store(true, Relaxed);
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                if let Some(ticket) = cache.begin_spill(65536, PoolKind::Persistent, 20).unwrap() {
                    cache.compact(Some(4)).unwrap();
                    cache.cancel_spill(ticket.id, true).unwrap();
                }
                cache.verify().unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
    });
    cache.verify().unwrap();
}

/// One step of a history; numbers are cut to what there is.
#[derive(Clone, Debug)]
enum Step {
    Put(u64, u64, bool),
    Get(u64),
    Flush(u64),
    FlushRange(u64, u64),
    Spill(usize, u32),
    Return(usize),
    Cancel(bool),
    ComeBack(u64, bool),
    Compact(Option<u64>),
    Limit(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = prop_oneof![0..40u64, Just(63), Just(64), Just(u64::MAX)];
    let step = prop_oneof![
        8 => (index.clone(), any::<u64>(), any::<bool>()).prop_map(|(i, s, k)| Step::Put(i, s, k)),
        4 => index.clone().prop_map(Step::Get),
        2 => index.clone().prop_map(Step::Flush),
        1 => (0..40u64, 0..40u64).prop_map(|(a, b)| Step::FlushRange(a, b)),
        3 => (1..9usize, 1..4u32).prop_map(|(n, p)| Step::Spill(n, p)),
        2 => (1..9usize).prop_map(Step::Return),
        1 => any::<bool>().prop_map(Step::Cancel),
        3 => (index, any::<bool>()).prop_map(|(i, b)| Step::ComeBack(i, b)),
        1 => prop::option::of(0..5u64).prop_map(Step::Compact),
        1 => (4..24u64).prop_map(Step::Limit),
    ];
    vec(step, 1..80)
}

/// A cache, what it holds, and what lenders hold.
struct Model {
    cache: Cache,
    pool: u32,
    pages: HashMap<u64, Vec<u8>>,
    lent: HashMap<(u64, u64), Vec<u8>>,
    ticket: Option<zcache_core::Ticket>,
}

impl Model {
    fn new() -> Self {
        let (cache, pool) = cache_of(24);
        Model {
            cache,
            pool,
            pages: HashMap::new(),
            lent: HashMap::new(),
            ticket: None,
        }
    }

    fn end(&mut self, place: u32) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let accepted: Vec<u8> = (0..ticket.blobs.keys.len())
            .map(|row| (row % 3) as u8)
            .collect();
        let wheres = Wheres::One(u64::from(place));
        self.cache
            .finish_spill(ticket.id, wheres, Some(&accepted))
            .unwrap();
        let rows = ticket.blobs.view();
        for (row, blob) in rows
            .parts()
            .enumerate()
            .filter(|(row, _)| accepted[*row] != 0)
        {
            self.lent
                .insert((rows.keys[row], rows.generations[row]), blob.to_vec());
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Put(index, seed, keep_old) => {
                let page = page(seed);
                let run = Indexes::Run(index, 1);
                let pages = Pages::new(&page);
                match self
                    .cache
                    .put_many(self.pool, &OBJECT, run, pages, keep_old)
                {
                    Ok(()) => {
                        self.pages.insert(index, page);
                    }
                    Err(Error::Full { stored: 0, .. }) if keep_old => {}
                    Err(Error::Full { stored: 0, .. }) => {
                        self.pages.remove(&index);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Get(index) => {
                let mut into = [0; PAGE_SIZE];
                let free = GetFree::Never;
                let found = self
                    .cache
                    .get(self.pool, &OBJECT, index, &mut into, free)
                    .unwrap();
                match found {
                    Answer::Absent => assert!(!self.pages.contains_key(&index)),
                    Answer::Present => assert_eq!(self.pages[&index], into),
                    Answer::Away(away) => {
                        assert!(self.lent.contains_key(&(away.key, away.generation)));
                    }
                }
            }
            Step::Flush(index) => {
                let there = self.pages.remove(&index).is_some();
                assert_eq!(self.cache.flush(self.pool, &OBJECT, index).unwrap(), there);
            }
            Step::FlushRange(start, last) => {
                let before = self.pages.len();
                self.pages
                    .retain(|index, _| !(start..=last).contains(index));
                let gone = (before - self.pages.len()) as u64;
                let flushed = self
                    .cache
                    .flush_range(self.pool, &OBJECT, start, last, usize::MAX)
                    .unwrap();
                assert_eq!(flushed, gone);
            }
            Step::Spill(pages, place) => {
                self.end(place);
                self.ticket = self
                    .cache
                    .begin_spill(1 << 30, PoolKind::Persistent, pages)
                    .unwrap();
            }
            Step::Return(place) => self.end(place as u32),
            Step::Cancel(warm) => {
                if let Some(ticket) = self.ticket.take() {
                    self.cache.cancel_spill(ticket.id, warm).unwrap();
                }
            }
            Step::ComeBack(index, damage) => self.come_back(index, damage),
            Step::Compact(frames) => {
                self.cache.compact(frames).unwrap();
            }
            Step::Limit(frames) => {
                let limit = Config {
                    pool_bytes_max: frames * 4096,
                    ..Config::default()
                };
                self.cache.reconfigure(limit).unwrap();
            }
        }
    }

    fn come_back(&mut self, index: u64, damage: bool) {
        let run = Indexes::Run(index, 1);
        let away = self.cache.peek_away(self.pool, &OBJECT, run).unwrap();
        if away.is_empty() {
            return;
        }
        let mut payload = self.lent[&(away.keys[0], away.generations[0])].clone();
        if damage {
            payload[0] ^= 1;
        }
        let blobs = Blobs {
            keys: &away.keys,
            generations: &away.generations,
            lengths: &away.lengths,
            encodings: &away.encodings,
            checksums: &away.checksums,
            payload: &payload,
        };
        let mut into = [0; PAGE_SIZE];
        let (pool, free) = (self.pool, GetFree::ByKind);
        let statuses = self
            .cache
            .restore_many(pool, &OBJECT, run, &blobs, Some(&mut into), true, free)
            .unwrap();
        if damage {
            assert_eq!(statuses, [RestoreStatus::Corrupt]);
        } else {
            assert_eq!(statuses, [RestoreStatus::Restored]);
            assert_eq!(into[..], self.pages[&index]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 1000 }))]

    #[test]
    fn a_cache_answers_as_a_map_does(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
            model.cache.verify().unwrap();
            let stats = model.cache.stats().unwrap();
            prop_assert_eq!(stats.get("pages_persistent"), model.pages.len() as u64);
        }
    }

    #[test]
    fn what_a_peer_sends_is_refused_or_given_back_unchanged(
        rows in vec((0..4u64, 0..4u64, 0..4200u16, 0..9u8, any::<bool>()), 0..12),
    ) {
        let cache = Cache::new(Config { foreign_bytes_max: 1 << 20, ..Config::default() });
        let pool = cache.create_pool(PoolSpec { foreign: true, ..PERSISTENT }).unwrap();
        let parts: Vec<Vec<u8>> = rows
            .iter()
            .map(|row| (0..row.2).map(|at| (at as u8).wrapping_mul(row.0 as u8 + 3)).collect())
            .collect();
        let sums = rows.iter().zip(&parts).map(|(row, part)| {
            zcache_core::codec::checksum(part) ^ u64::from(row.4)
        });
        let (keys, generations): (Vec<u64>, Vec<u64>) =
            rows.iter().map(|row| (row.0, row.1)).unzip();
        let blobs = Blobs {
            keys: &keys,
            generations: &generations,
            lengths: &rows.iter().map(|row| row.2).collect::<Vec<_>>(),
            encodings: &rows.iter().map(|row| row.3).collect::<Vec<_>>(),
            checksums: &sums.collect::<Vec<_>>(),
            payload: &parts.concat(),
        };
        let statuses = cache.adopt(pool, &OBJECT, &blobs).unwrap();
        cache.verify().unwrap();
        for (row, status) in statuses.iter().enumerate() {
            let good = (1..=4096).contains(&parts[row].len()) && rows[row].3 <= 3 && !rows[row].4;
            prop_assert_eq!(*status as u8 != 4, good);
        }
        let (found, held) = cache.read_adopted(pool, &OBJECT, &keys, &generations).unwrap();
        let there = found.iter().filter(|found| **found == 1).count();
        prop_assert_eq!(there, held.keys.len());
        for part in held.view().parts() {
            prop_assert!(parts.iter().any(|sent| sent == part));
        }
    }
}
