//! The whole cache beside a plain map: what was accepted is there, what vanishes was allowed to,
//! and no copy elsewhere is lost or named twice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index as Choice;
use zcache_core::codec::{Encoding, checksum};
use zcache_core::page::{
    AdoptStatus, AwayPages, GetFree, Indexes, ObjectId, PAGE_SIZE, PackedBlobs, PageState,
    PoolKind, RestoreStatus, place_of,
};
use zcache_core::{Cache, Codec, Config, Error, Pages, PoolSpec, Ticket, Wheres};

/// What a page holds: how it compresses, and which one of those it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Same(u8),
    Text(u16),
    Noise(u16),
}

impl Content {
    fn page(self) -> Vec<u8> {
        match self {
            Content::Same(byte) => vec![byte; PAGE_SIZE],
            Content::Text(seed) => {
                let fill = usize::from(seed) % 97 * 40;
                let noisy = Content::Noise(seed).page();
                let text = (0..PAGE_SIZE).map(|at| (at / 7) as u8 ^ seed as u8);
                let mut page: Vec<u8> = text.collect();
                page[..fill].copy_from_slice(&noisy[..fill]);
                page[..2].copy_from_slice(&seed.to_le_bytes());
                page
            }
            Content::Noise(seed) => {
                let mut state = u64::from(seed) << 1 | 1;
                let step = |_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 24) as u8
                };
                (0..PAGE_SIZE).map(step).collect()
            }
        }
    }
}

/// A handle of the few that there are: pages that lie densely, alone, and at the end of all
/// indexes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Handle {
    pool: u32,
    object: u64,
    index: u64,
}

fn object_id(object: u64) -> ObjectId {
    [object, 0, object / 2]
}

#[derive(Clone, Debug)]
enum Call {
    CreatePool(PoolKind, bool, bool, Option<u8>),
    DestroyPool(Choice),
    EmptyPool(Choice, usize),
    Put(Choice, u64, u64, Vec<Content>, bool),
    Get(Choice, u64, u64, usize, GetFree),
    Flush(Choice, u64, u64),
    FlushRange(Choice, u64, u64, u64, usize),
    FlushObject(Choice, u64),
    Freeze(bool),
    Begin(u64, PoolKind, usize),
    Finish(Choice, u32, u8),
    Cancel(Choice, bool),
    Restore(Choice, u64, u64, usize, bool, bool, GetFree, bool),
    Forget(Choice),
    ForgetWhere(u32, PoolKind),
    Scan(u32, usize),
    Move(u32, u32),
    Adopt(Choice, u64, Vec<(u64, u64, u16, bool)>),
    FlushAdopted(Choice, u64, u64, u64),
    DropForeign(u64),
    Drain(usize),
    Compact(Option<u64>),
    Reconfigure(u64, u64),
}

fn any_kind() -> impl Strategy<Value = PoolKind> {
    prop_oneof![3 => Just(PoolKind::Persistent), 2 => Just(PoolKind::Ephemeral)]
}

fn any_free() -> impl Strategy<Value = GetFree> {
    prop_oneof![
        3 => Just(GetFree::ByKind),
        1 => Just(GetFree::Always),
        2 => Just(GetFree::Never),
    ]
}

fn any_content() -> impl Strategy<Value = Content> {
    prop_oneof![
        1 => any::<u8>().prop_map(Content::Same),
        4 => any::<u16>().prop_map(Content::Text),
        1 => any::<u16>().prop_map(Content::Noise),
    ]
}

fn any_index() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..80_u64, 1 => (0..4_u64).prop_map(|far| far << 40), 1 => u64::MAX - 70..=u64::MAX - 20]
}

fn any_call() -> impl Strategy<Value = Call> {
    use any as pick;
    let object = || 0..3_u64;
    let place = || 1..4_u32;
    let blob = (0..20_u64, 0..5_u64, 1..4100_u16, prop::bool::weighted(0.9));
    prop_oneof![
        1 => (any_kind(), any::<bool>(), prop::bool::weighted(0.3), prop::option::weighted(0.2, 0..2_u8))
            .prop_map(|(kind, exclusive, foreign, uuid)| Call::CreatePool(kind, exclusive, foreign, uuid)),
        1 => pick::<Choice>().prop_map(Call::DestroyPool),
        1 => (pick::<Choice>(), 0..20_usize).prop_map(|(pool, max)| Call::EmptyPool(pool, max)),
        12 => (pick::<Choice>(), object(), any_index(), prop::collection::vec(any_content(), 0..40), any::<bool>())
            .prop_map(|(pool, object, index, pages, keep)| Call::Put(pool, object, index, pages, keep)),
        5 => (pick::<Choice>(), object(), any_index(), 0..40_usize, any_free())
            .prop_map(|(pool, object, index, pages, free)| Call::Get(pool, object, index, pages, free)),
        3 => (pick::<Choice>(), object(), any_index()).prop_map(|(pool, object, index)| Call::Flush(pool, object, index)),
        2 => (pick::<Choice>(), object(), any_index(), prop_oneof![0..100_u64, Just(u64::MAX)],
              prop_oneof![0..10_usize, Just(usize::MAX)])
            .prop_map(|(pool, object, start, more, max)| Call::FlushRange(pool, object, start, more, max)),
        1 => (pick::<Choice>(), object()).prop_map(|(pool, object)| Call::FlushObject(pool, object)),
        1 => prop::bool::weighted(0.3).prop_map(Call::Freeze),
        5 => (prop_oneof![0..30_000_u64, Just(u64::MAX)], any_kind(), prop_oneof![0..30_usize, Just(usize::MAX)])
            .prop_map(|(bytes, kind, pages)| Call::Begin(bytes, kind, pages)),
        4 => (pick::<Choice>(), place(), any::<u8>()).prop_map(|(ticket, place, mask)| Call::Finish(ticket, place, mask)),
        1 => (pick::<Choice>(), any::<bool>()).prop_map(|(ticket, warm)| Call::Cancel(ticket, warm)),
        5 => ((pick::<Choice>(), object(), any_index(), 0..40_usize), any::<bool>(), any::<bool>(), any_free(),
              prop::bool::weighted(0.1))
            .prop_map(|((pool, object, index, pages), install, into, free, bad)| {
                Call::Restore(pool, object, index, pages, install, into, free, bad)
            }),
        1 => pick::<Choice>().prop_map(Call::Forget),
        1 => (place(), any_kind()).prop_map(|(place, kind)| Call::ForgetWhere(place, kind)),
        1 => (place(), 1..10_usize).prop_map(|(place, max)| Call::Scan(place, max)),
        1 => (place(), place()).prop_map(|(from, to)| Call::Move(from, to)),
        4 => (pick::<Choice>(), object(), prop::collection::vec(blob, 0..8))
            .prop_map(|(pool, object, blobs)| Call::Adopt(pool, object, blobs)),
        1 => (pick::<Choice>(), object(), 0..20_u64, 0..5_u64)
            .prop_map(|(pool, object, key, generation)| Call::FlushAdopted(pool, object, key, generation)),
        1 => (0..20_000_u64).prop_map(Call::DropForeign),
        2 => prop_oneof![0..10_usize, Just(usize::MAX)].prop_map(Call::Drain),
        2 => prop::option::of(0..10_u64).prop_map(Call::Compact),
        1 => (4..100_u64, 0..60_u64).prop_map(|(frames, foreign)| Call::Reconfigure(frames, foreign)),
    ]
}

struct Pool {
    kind: PoolKind,
    foreign: bool,
    frees: bool,
    uuid: Option<[u8; 16]>,
}

/// One row of blobs, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Blob {
    length: u16,
    encoding: u8,
    checksum: u64,
    bytes: Vec<u8>,
}

fn rows(blobs: &PackedBlobs) -> Vec<(u64, u64, Blob)> {
    let mut start = 0;
    (0..blobs.keys.len())
        .map(|row| {
            let length = blobs.lengths[row];
            let bytes = blobs.payload[start..start + usize::from(length)].to_vec();
            start += bytes.len();
            let (encoding, checksum) = (blobs.encodings[row], blobs.checksums[row]);
            let blob = Blob {
                length,
                encoding,
                checksum,
                bytes,
            };
            (blobs.keys[row], blobs.generations[row], blob)
        })
        .collect()
}

fn pack(rows: impl IntoIterator<Item = (u64, u64, Blob)>) -> PackedBlobs {
    let mut blobs = PackedBlobs::default();
    for (key, generation, blob) in rows {
        blobs.keys.push(key);
        blobs.generations.push(generation);
        blobs.lengths.push(blob.length);
        blobs.encodings.push(blob.encoding);
        blobs.checksums.push(blob.checksum);
        blobs.payload.extend(blob.bytes);
    }
    blobs
}

struct Model {
    cache: Cache,
    config: Config,
    frozen: bool,
    pools: BTreeMap<u32, Pool>,
    /// Own pages; ephemeral ones may be gone.
    pages: BTreeMap<Handle, Content>,
    /// Foreign blobs by key (`index`); those of ephemeral pools may be gone.
    foreign: BTreeMap<Handle, (u64, Blob)>,
    tickets: Vec<Ticket>,
    /// Copies that were accepted elsewhere and not named as displaced yet: key and generation ->
    /// where, blob.
    lent: BTreeMap<(u64, u64), (u64, Blob)>,
}

impl Model {
    fn new(frames: u64, refuse_incompressible: bool, accept_watermark: f64) -> Self {
        let config = Config {
            pool_bytes_max: frames * PAGE_SIZE as u64,
            foreign_bytes_max: 20 * PAGE_SIZE as u64,
            refuse_incompressible,
            accept_watermark,
            pools_max: 6,
            ..Config::default()
        };
        let mut model = Model {
            cache: Cache::new(config.clone()),
            config,
            frozen: false,
            pools: BTreeMap::new(),
            pages: BTreeMap::new(),
            foreign: BTreeMap::new(),
            tickets: vec![],
            lent: BTreeMap::new(),
        };
        for (kind, foreign) in [
            (PoolKind::Persistent, false),
            (PoolKind::Ephemeral, false),
            (PoolKind::Persistent, true),
            (PoolKind::Ephemeral, true),
        ] {
            model.create_pool(kind, false, foreign, None);
        }
        model
    }

    fn create_pool(&mut self, kind: PoolKind, exclusive: bool, foreign: bool, uuid: Option<u8>) {
        let uuid = uuid.map(|byte| [byte; 16]);
        let spec = PoolSpec {
            kind,
            exclusive,
            uuid,
            foreign,
            codec: exclusive.then_some(Codec::Zstd),
        };
        let same = |pool: &Pool| {
            uuid.is_some() && (pool.uuid, pool.kind, pool.foreign) == (uuid, kind, foreign)
        };
        let shared = self
            .pools
            .iter()
            .find(|(_, pool)| same(pool))
            .map(|(id, _)| *id);
        let made = self.cache.create_pool(spec);
        if let Some(id) = shared {
            assert_eq!(made, Ok(id));
        } else if self.pools.len() as u64 == self.config.pools_max {
            assert_eq!(made, Err(Error::PoolTableFull(self.config.pools_max)));
        } else {
            let lowest = (0..).find(|id| !self.pools.contains_key(id)).unwrap();
            assert_eq!(made, Ok(lowest));
            let frees = uuid.is_none() && (kind == PoolKind::Ephemeral || exclusive);
            let pool = Pool {
                kind,
                foreign,
                frees,
                uuid,
            };
            self.pools.insert(lowest, pool);
        }
    }

    /// A pool's id and whether there is one: some calls get one that there is not, or of the other
    /// sort.
    fn pick(&self, pool: &Choice, foreign: bool) -> (u32, bool) {
        let id = pool.index(self.pools.len() + 1) as u32;
        let there = self
            .pools
            .get(&id)
            .is_some_and(|pool| pool.foreign == foreign);
        (id, there)
    }

    fn is_persistent(&self, pool: u32) -> bool {
        self.pools[&pool].kind == PoolKind::Persistent
    }

    fn handles(pool: u32, object: u64, start: u64, pages: usize) -> Vec<Handle> {
        // Runs end where the indexes do.
        let pages = (pages as u64).min((u64::MAX - start).saturating_add(1));
        (0..pages)
            .map(|at| Handle {
                pool,
                object,
                index: start + at,
            })
            .collect()
    }

    fn put(
        &mut self,
        pool: (u32, bool),
        object: u64,
        start: u64,
        contents: &[Content],
        keep: bool,
    ) {
        let (pool, there) = pool;
        let handles = Self::handles(pool, object, start, contents.len());
        let contents = &contents[..handles.len()];
        let bytes: Vec<u8> = contents.iter().flat_map(|content| content.page()).collect();
        let indexes = Indexes::Run(start, handles.len());
        let stored =
            self.cache
                .put_many(pool, &object_id(object), indexes, Pages::new(&bytes), keep);
        if !there {
            assert_eq!(stored, Err(Error::NoSuchPool));
            return;
        }
        let (stored, refused) = match stored {
            Ok(()) => (handles.len(), None),
            Err(Error::Full { stored, .. }) => {
                assert!(!self.frozen);
                (stored, Some(handles[stored]))
            }
            Err(Error::Poor { stored }) => {
                assert!(self.config.refuse_incompressible && !self.frozen);
                assert!(!matches!(contents[stored], Content::Same(_)));
                (stored, Some(handles[stored]))
            }
            Err(other) => panic!("{other:?}"),
        };
        for (handle, content) in handles.iter().zip(contents).take(stored) {
            if self.frozen {
                self.pages.remove(handle);
            } else {
                self.pages.insert(*handle, *content);
            }
        }
        if let Some(refused) = refused {
            if !(keep && self.is_persistent(pool)) {
                self.pages.remove(&refused);
            }
        }
    }

    fn frees(&self, pool: u32, free: GetFree) -> bool {
        match free {
            GetFree::ByKind => self.pools[&pool].frees,
            GetFree::Always => true,
            GetFree::Never => false,
        }
    }

    fn get(&mut self, pool: (u32, bool), object: u64, start: u64, pages: usize, free: GetFree) {
        let (pool, there) = pool;
        let handles = Self::handles(pool, object, start, pages);
        let mut into = vec![0; handles.len() * PAGE_SIZE];
        let mut states = vec![9; handles.len()];
        let indexes: Vec<u64> = handles.iter().map(|handle| handle.index).collect();
        let got = self.cache.get_many(
            pool,
            &object_id(object),
            Indexes::List(&indexes),
            &mut into,
            &mut states,
            free,
        );
        if !there {
            assert_eq!(got, Err(Error::NoSuchPool));
            return;
        }
        let away = got.unwrap();
        for (at, handle) in handles.iter().enumerate() {
            let page = &into[at * PAGE_SIZE..(at + 1) * PAGE_SIZE];
            match states[at] {
                0 => {
                    let gone = self.pages.remove(handle);
                    assert!(
                        gone.is_none() || !self.is_persistent(pool),
                        "{handle:?} is gone"
                    );
                }
                1 => {
                    assert!(
                        self.pages[handle].page() == page,
                        "{handle:?} has another content"
                    );
                    if self.frees(pool, free) {
                        self.pages.remove(handle);
                    }
                }
                2 => {
                    assert!(self.pages.contains_key(handle));
                    let row = away
                        .positions
                        .iter()
                        .position(|row| *row == at as u64)
                        .unwrap();
                    self.check_away(&away, row);
                }
                other => panic!("page state {other}"),
            }
        }
        assert_eq!(
            away.len(),
            states
                .iter()
                .filter(|state| **state == PageState::Away as u8)
                .count()
        );
    }

    /// A page that is away has its copy where it says.
    fn check_away(&self, away: &AwayPages, row: usize) {
        let (place, blob) = &self.lent[&(away.keys[row], away.generations[row])];
        assert_eq!(away.wheres[row], *place);
        assert_eq!(
            (away.lengths[row], away.encodings[row], away.checksums[row]),
            (blob.length, blob.encoding, blob.checksum)
        );
    }

    fn remove_own(&mut self, gone: impl Fn(&Handle) -> bool) {
        self.pages.retain(|handle, _| !gone(handle));
    }

    fn finish(&mut self, ticket: &Choice, place: u32, mask: u8) {
        if self.tickets.is_empty() {
            assert!(matches!(
                self.cache.cancel_spill(0, true),
                Err(Error::Ticket(_))
            ));
            return;
        }
        let ticket = self.tickets.swap_remove(ticket.index(self.tickets.len()));
        let named = rows(&ticket.blobs);
        let accepted: Vec<u8> = (0..named.len()).map(|row| mask >> (row % 8) & 1).collect();
        let words: Vec<u64> = (0..named.len() as u64)
            .map(|row| row << 32 | u64::from(place))
            .collect();
        let short = Wheres::Column(&words[1..]);
        assert!(matches!(
            self.cache.finish_spill(ticket.id, short, None),
            Err(Error::Ticket(_))
        ));
        let short = Some(&accepted[1..]);
        let one = Wheres::One(u64::from(place));
        assert!(matches!(
            self.cache.finish_spill(ticket.id, one, short),
            Err(Error::Ticket(_))
        ));
        let gone = match mask {
            0xFF => self.cache.finish_spill(ticket.id, one, None),
            _ => self
                .cache
                .finish_spill(ticket.id, Wheres::Column(&words), Some(&accepted)),
        };
        for (row, (key, generation, blob)) in named.into_iter().enumerate() {
            let word = if mask == 0xFF {
                u64::from(place)
            } else {
                words[row]
            };
            if accepted[row] != 0 {
                self.lent.insert((key, generation), (word, blob));
            }
        }
        assert!(gone.unwrap() <= accepted.iter().map(|accepted| u64::from(*accepted)).sum());
        let again = self.cache.finish_spill(ticket.id, one, None);
        assert!(matches!(again, Err(Error::Ticket(_))));
    }

    #[allow(clippy::too_many_arguments)]
    fn restore(
        &mut self,
        pool: (u32, bool),
        object: u64,
        start: u64,
        pages: usize,
        install: bool,
        with_pages: bool,
        free: GetFree,
        bad: bool,
    ) {
        let (pool, there) = pool;
        let handles = Self::handles(pool, object, start, pages);
        let indexes: Vec<u64> = handles.iter().map(|handle| handle.index).collect();
        let id = object_id(object);
        let away = self.cache.peek_away(pool, &id, Indexes::List(&indexes));
        if !there {
            assert_eq!(away, Err(Error::NoSuchPool));
            return;
        }
        let away = away.unwrap();
        let mut fetched = Vec::new();
        for row in 0..away.len() {
            self.check_away(&away, row);
            let name = (away.keys[row], away.generations[row]);
            fetched.push((name.0, name.1, self.lent[&name].1.clone()));
        }
        let at: Vec<u64> = away
            .positions
            .iter()
            .map(|row| indexes[*row as usize])
            .collect();
        if bad {
            for (row, (key, generation, blob)) in fetched.iter_mut().enumerate() {
                match row % 4 {
                    0 => *key += 1,
                    1 => *generation = u64::MAX,
                    2 => blob.bytes[0] ^= 1,
                    _ => blob.checksum ^= 1,
                }
            }
        }
        let blobs = pack(fetched);
        let mut into = with_pages.then(|| vec![0xEE; at.len() * PAGE_SIZE]);
        let statuses = self
            .cache
            .restore_many(
                pool,
                &id,
                Indexes::List(&at),
                &blobs.view(),
                into.as_deref_mut(),
                install,
                free,
            )
            .unwrap();
        for (row, status) in statuses.iter().enumerate() {
            let handle = Handle {
                pool,
                object,
                index: at[row],
            };
            let page = into
                .as_ref()
                .map(|into| &into[row * PAGE_SIZE..(row + 1) * PAGE_SIZE]);
            if bad {
                let stale = row % 4 < 2;
                let wanted = if stale {
                    RestoreStatus::Stale
                } else {
                    RestoreStatus::Corrupt
                };
                assert_eq!(*status, wanted);
                assert!(page.is_none_or(|page| page.iter().all(|byte| *byte == 0xEE)));
                continue;
            }
            assert_eq!(*status, RestoreStatus::Restored);
            assert!(page.is_none_or(|page| self.pages[&handle].page() == page));
            if self.frees(pool, free) {
                self.pages.remove(&handle);
            }
        }
    }

    /// All that is away at a place, seen by scanning.
    fn scan(&self, place: u32, pages_max: usize) -> (Vec<Handle>, AwayPages) {
        let (mut handles, mut pages) = (vec![], AwayPages::default());
        let mut cursor = 0;
        loop {
            let (names, some, next) = self.cache.scan_away(place, cursor, pages_max).unwrap();
            assert!(names.len() <= pages_max && names.len() == some.len());
            handles.extend(names.into_iter().map(|(pool, object, index)| Handle {
                pool,
                object: object[0],
                index,
            }));
            for row in 0..some.len() {
                self.check_away(&some, row);
                assert_eq!(place_of(some.wheres[row]), place);
                pages.keys.push(some.keys[row]);
                pages.generations.push(some.generations[row]);
                pages.wheres.push(some.wheres[row]);
            }
            if next == 0 {
                return (handles, pages);
            }
            assert!(next > cursor);
            cursor = next;
        }
    }

    fn forget_where(&mut self, place: u32, kind: PoolKind) {
        let (handles, pages) = self.scan(place, 1000);
        let mut forgotten = 0;
        for (row, handle) in handles.iter().enumerate() {
            if self.pools[&handle.pool].kind == kind {
                self.pages.remove(handle).unwrap();
                self.lent
                    .remove(&(pages.keys[row], pages.generations[row]))
                    .unwrap();
                forgotten += 1;
            }
        }
        assert_eq!(self.cache.forget_where(place, kind), Ok(forgotten));
    }

    fn adopt(&mut self, pool: (u32, bool), object: u64, blobs: &[(u64, u64, u16, bool)]) {
        let (pool, there) = pool;
        let rows: Vec<(u64, u64, Blob)> = blobs
            .iter()
            .map(|&(key, generation, length, good)| {
                let bytes: Vec<u8> = Content::Noise(length).page();
                let bytes: Vec<u8> = bytes
                    .into_iter()
                    .cycle()
                    .take(usize::from(length))
                    .collect();
                let blob = Blob {
                    length,
                    encoding: (length % 5) as u8,
                    checksum: checksum(&bytes) ^ u64::from(!good),
                    bytes,
                };
                (key, generation, blob)
            })
            .collect();
        let statuses = self
            .cache
            .adopt(pool, &object_id(object), &pack(rows.clone()).view());
        if !there {
            assert_eq!(statuses, Err(Error::NoSuchPool));
            return;
        }
        for (status, (key, generation, blob)) in statuses.unwrap().into_iter().zip(rows) {
            let handle = Handle {
                pool,
                object,
                index: key,
            };
            let good = blob.length <= 4096
                && blob.encoding <= Encoding::Zstd as u8
                && blob.checksum == checksum(&blob.bytes);
            assert_eq!(status == AdoptStatus::Bad, !good);
            match status {
                AdoptStatus::Stored => {
                    assert!(!self.frozen);
                    self.foreign.insert(handle, (generation, blob));
                }
                AdoptStatus::Quota | AdoptStatus::Full => {
                    self.foreign.remove(&handle);
                }
                AdoptStatus::Stale => assert!(self.foreign[&handle].0 >= generation),
                AdoptStatus::Bad => {}
            }
        }
    }

    /// Foreign blobs are what they were when they came; those of ephemeral pools may be gone.
    fn check_foreign(&mut self) {
        let all: Vec<(Handle, u64)> = self
            .foreign
            .iter()
            .map(|(handle, (generation, _))| (*handle, *generation))
            .collect();
        for (handle, generation) in all {
            let read = |generation: u64| {
                self.cache
                    .read_adopted(
                        handle.pool,
                        &object_id(handle.object),
                        &[handle.index],
                        &[generation],
                    )
                    .unwrap()
            };
            assert_eq!(read(generation ^ 1).0, [0]);
            let (found, blobs) = read(generation);
            if found == [1] {
                let wanted = (handle.index, generation, self.foreign[&handle].1.clone());
                assert_eq!(rows(&blobs), [wanted]);
            } else {
                assert!(!self.is_persistent(handle.pool));
                self.foreign.remove(&handle);
            }
        }
    }

    fn drain(&mut self, pages_max: usize) {
        let displaced = self.cache.drain_displaced(pages_max).unwrap();
        assert!(displaced.len() <= pages_max);
        for row in 0..displaced.len() {
            self.check_away(&displaced, row);
            self.lent
                .remove(&(displaced.keys[row], displaced.generations[row]));
        }
    }

    fn run(&mut self, call: &Call) {
        match call {
            Call::CreatePool(kind, exclusive, foreign, uuid) => {
                self.create_pool(*kind, *exclusive, *foreign, *uuid);
            }
            Call::DestroyPool(pool) => {
                let id = pool.index(self.pools.len() + 1) as u32;
                let removed = self.cache.destroy_pool(id);
                assert_eq!(removed.is_ok(), self.pools.remove(&id).is_some());
                self.remove_own(|handle| handle.pool == id);
                self.foreign.retain(|handle, _| handle.pool != id);
                assert_eq!(self.cache.pool_pages(id), Err(Error::NoSuchPool));
            }
            Call::EmptyPool(pool, pages_max) => {
                let id = pool.index(self.pools.len() + 1) as u32;
                if !self.pools.contains_key(&id) {
                    assert_eq!(
                        self.cache.empty_pool(id, *pages_max),
                        Err(Error::NoSuchPool)
                    );
                    return;
                }
                // In slices, until none is left.
                let before = self.cache.pool_pages(id).unwrap();
                let mut removed = 0;
                loop {
                    let some = self.cache.empty_pool(id, *pages_max).unwrap();
                    assert!(some <= *pages_max as u64);
                    removed += some;
                    assert_eq!(self.cache.pool_pages(id), Ok(before - removed));
                    if some == 0 {
                        break;
                    }
                }
                if *pages_max > 0 {
                    assert_eq!(removed, before);
                    self.remove_own(|handle| handle.pool == id);
                    self.foreign.retain(|handle, _| handle.pool != id);
                }
            }
            Call::Put(pool, object, start, contents, keep) => {
                self.put(self.pick(pool, false), *object, *start, contents, *keep);
            }
            Call::Get(pool, object, start, pages, free) => {
                self.get(self.pick(pool, false), *object, *start, *pages, *free);
            }
            Call::Flush(pool, object, index) => {
                let (pool, there) = self.pick(pool, false);
                let found = self.cache.flush(pool, &object_id(*object), *index);
                let handle = Handle {
                    pool,
                    object: *object,
                    index: *index,
                };
                let known = self.pages.remove(&handle).is_some();
                match found {
                    Ok(found) => assert!(found == known || (known && !self.is_persistent(pool))),
                    Err(error) => assert_eq!((error, there), (Error::NoSuchPool, false)),
                }
            }
            Call::FlushRange(pool, object, start, more, pages_max) => {
                let (pool, there) = self.pick(pool, false);
                let last = start.saturating_add(*more);
                let id = object_id(*object);
                if !there {
                    let found = self.cache.flush_range(pool, &id, *start, last, *pages_max);
                    assert_eq!(found, Err(Error::NoSuchPool));
                    return;
                }
                let runs = self.cache.stored_runs(pool, &id, *start, last).unwrap();
                assert!(
                    runs.windows(2)
                        .all(|pair| pair[1].0 - pair[0].0 > pair[0].1)
                );
                let stored: Vec<u64> = runs
                    .iter()
                    .flat_map(|(first, pages)| (0..*pages).map(move |at| first + at))
                    .collect();
                let known = |handle: &Handle| {
                    (handle.pool, handle.object) == (pool, *object)
                        && (*start..=last).contains(&handle.index)
                };
                let wanted: Vec<u64> = self
                    .pages
                    .keys()
                    .filter(|handle| known(handle))
                    .map(|handle| handle.index)
                    .collect();
                if self.is_persistent(pool) {
                    assert_eq!(stored, wanted);
                }
                assert!(stored.iter().all(|index| wanted.contains(index)));
                let gone = &stored[..stored.len().min(*pages_max)];
                let removed = self.cache.flush_range(pool, &id, *start, last, *pages_max);
                assert_eq!(removed, Ok(gone.len() as u64));
                let object = *object;
                self.remove_own(|handle| {
                    (handle.pool, handle.object) == (pool, object) && gone.contains(&handle.index)
                });
            }
            Call::FlushObject(pool, object) => {
                let (pool, there) = self.pick(pool, false);
                assert_eq!(
                    self.cache.flush_object(pool, &object_id(*object)).is_ok(),
                    there
                );
                let object = *object;
                self.remove_own(|handle| (handle.pool, handle.object) == (pool, object));
            }
            Call::Freeze(frozen) => {
                self.cache.freeze(*frozen).unwrap();
                self.frozen = *frozen;
            }
            Call::Begin(bytes_max, kind, pages_max) => {
                if let Some(ticket) = self
                    .cache
                    .begin_spill(*bytes_max, *kind, *pages_max)
                    .unwrap()
                {
                    let pages = ticket.blobs.keys.len();
                    assert!((1..=*pages_max).contains(&pages));
                    assert!(pages == 1 || ticket.blobs.payload.len() as u64 <= *bytes_max);
                    assert!(
                        ticket
                            .pools
                            .iter()
                            .all(|pool| self.pools[pool].kind == *kind)
                    );
                    self.tickets.push(ticket);
                }
            }
            Call::Finish(ticket, place, mask) => self.finish(ticket, *place, *mask),
            Call::Cancel(ticket, warm) => {
                if !self.tickets.is_empty() {
                    let ticket = self.tickets.swap_remove(ticket.index(self.tickets.len()));
                    self.cache.cancel_spill(ticket.id, *warm).unwrap();
                }
            }
            Call::Restore(pool, object, start, pages, install, into, free, bad) => {
                let pool = self.pick(pool, false);
                self.restore(pool, *object, *start, *pages, *install, *into, *free, *bad);
            }
            Call::Forget(at) => {
                if self.pages.is_empty() {
                    return;
                }
                let handle = *self.pages.keys().nth(at.index(self.pages.len())).unwrap();
                let id = object_id(handle.object);
                let one = [handle.index];
                let away = self
                    .cache
                    .peek_away(handle.pool, &id, Indexes::List(&one))
                    .unwrap();
                let forget = |generation| {
                    self.cache
                        .forget_away(handle.pool, &id, handle.index, generation)
                };
                assert_eq!(forget(u64::MAX), Ok(false));
                if away.len() == 1 {
                    assert_eq!(forget(away.generations[0]), Ok(true));
                    self.lent
                        .remove(&(away.keys[0], away.generations[0]))
                        .unwrap();
                    self.pages.remove(&handle);
                }
            }
            Call::ForgetWhere(place, kind) => self.forget_where(*place, *kind),
            Call::Scan(place, pages_max) => {
                self.scan(*place, *pages_max);
            }
            Call::Move(from, to) => {
                let (_, pages) = self.scan(*from, 1000);
                let to: Vec<u64> = pages
                    .wheres
                    .iter()
                    .map(|word| (word >> 32 << 32) | u64::from(*to))
                    .collect();
                let changed = self
                    .cache
                    .move_away(&pages.keys, &pages.generations, &pages.wheres, &to)
                    .unwrap();
                assert!(changed.iter().all(|changed| *changed == 1));
                for (row, to) in to.iter().enumerate() {
                    self.lent
                        .get_mut(&(pages.keys[row], pages.generations[row]))
                        .unwrap()
                        .0 = *to;
                }
                let none = self
                    .cache
                    .move_away(&[0, 1, 7, u64::MAX], &[0; 4], &[1; 4], &[1; 4]);
                assert_eq!(none, Ok(vec![0; 4]));
            }
            Call::Adopt(pool, object, blobs) => {
                self.adopt(self.pick(pool, true), *object, blobs);
            }
            Call::FlushAdopted(pool, object, key, generation) => {
                let (pool, there) = self.pick(pool, true);
                let handle = Handle {
                    pool,
                    object: *object,
                    index: *key,
                };
                let flushed = self.cache.flush_adopted(
                    pool,
                    &object_id(*object),
                    &[*key, *key],
                    &[*generation; 2],
                );
                if !there {
                    assert_eq!(flushed, Err(Error::NoSuchPool));
                } else if self
                    .foreign
                    .get(&handle)
                    .is_some_and(|(known, _)| known <= generation)
                {
                    self.foreign.remove(&handle);
                    assert!(flushed == Ok(1) || !self.is_persistent(pool));
                } else {
                    assert_eq!(flushed, Ok(0));
                }
            }
            Call::DropForeign(bytes_max) => {
                self.cache.drop_foreign_ephemeral(*bytes_max).unwrap();
            }
            Call::Drain(pages_max) => self.drain(*pages_max),
            Call::Compact(frames_max) => {
                let before = self.cache.stats().unwrap().get("frames_used");
                let given_back = self.cache.compact(*frames_max).unwrap();
                assert_eq!(
                    self.cache.stats().unwrap().get("frames_used") + given_back,
                    before
                );
            }
            Call::Reconfigure(frames, foreign) => {
                self.config.pool_bytes_max = frames * PAGE_SIZE as u64;
                self.config.foreign_bytes_max = foreign * PAGE_SIZE as u64;
                self.cache.reconfigure(self.config.clone()).unwrap();
            }
        }
    }

    /// After a call: everything adds up, and no blob of persistent pages is lost.
    fn check(&mut self) {
        assert_eq!(self.cache.verify(), Ok(()));
        let stats = self.cache.stats().unwrap();
        let known = |persistent: bool| {
            let of_kind = self
                .pages
                .keys()
                .filter(|handle| self.is_persistent(handle.pool) == persistent);
            of_kind.count() as u64
        };
        assert_eq!(stats.get("pages_persistent"), known(true));
        assert!(stats.get("pages_ephemeral") <= known(false));
        assert_eq!(
            stats.get("displaced_pending") + stats.get("pages_away"),
            self.lent.len() as u64
        );
        assert_eq!(stats.get("pools"), self.pools.len() as u64);
        self.check_foreign();
    }

    /// At the end, all that is away comes home or stays away, every page is what was put, and
    /// nothing is left behind.
    fn end(mut self) {
        for ticket in std::mem::take(&mut self.tickets) {
            self.cache.cancel_spill(ticket.id, false).unwrap();
        }
        self.drain(usize::MAX);
        let away: usize = (1..4).map(|place| self.scan(place, 1000).0.len()).sum();
        assert_eq!(away, self.lent.len());
        let handles: Vec<Handle> = self.pages.keys().copied().collect();
        for handle in handles {
            let pool = (handle.pool, true);
            self.restore(
                pool,
                handle.object,
                handle.index,
                1,
                true,
                true,
                GetFree::Never,
                false,
            );
            self.get(pool, handle.object, handle.index, 1, GetFree::Never);
        }
        self.check();
        let pools: Vec<u32> = self.pools.keys().copied().collect();
        for id in pools {
            self.cache.destroy_pool(id).unwrap();
        }
        self.cache.compact(None).unwrap();
        self.cache.verify().unwrap();
        let stats = self.cache.stats().unwrap();
        for name in [
            "frames_used",
            "objects",
            "pages_local",
            "pages_away",
            "bytes_foreign_slots",
            "pools",
        ] {
            assert_eq!(stats.get(name), 0, "{name}");
        }
        assert!(stats.away_by_where.is_empty());
    }
}

proptest! {
    #[test]
    fn the_cache_keeps_what_it_accepted(
        frames in 4..80_u64,
        refuse in any::<bool>(),
        accept in prop_oneof![Just(1.0), Just(0.5)],
        calls in prop::collection::vec(any_call(), 1..80),
    ) {
        let mut model = Model::new(frames, refuse, accept);
        for call in &calls {
            model.run(call);
            model.check();
        }
        model.end();
    }
}
