//! What a page is, how it is named, and the columns in which batches of pages travel.
//!
//! Covers: constants, enumerations, values. No state. The numbers are those of `zcache/page.py`.

pub use crate::codec::{Encoding, PAGE_SIZE};

/// 64 bits that name a page's object, three times: object ids have 192 bits, lowest word first.
pub type ObjectId = [u64; 3];

/// All bits set: no object (as in tmem).
pub const OBJECT_ID_INVALID: ObjectId = [u64::MAX; 3];

/// Whether an accepted page may be dropped by the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PoolKind {
    /// A page may vanish at any time.
    Ephemeral = 0,
    /// An accepted page is there until it is flushed.
    Persistent = 1,
}

/// What a get does with a page it has found (tmem's tri-state).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GetFree {
    /// The pool's rule.
    ByKind = 0,
    /// The page is freed.
    Always = 1,
    /// The page stays.
    Never = 2,
}

/// A get's answer for one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageState {
    /// There is no such page.
    Absent = 0,
    /// The page was written to its place.
    Present = 1,
    /// The page's blob is elsewhere.
    Away = 2,
    /// Its blob fails its checksum or decompression; the entry is kept.
    Corrupt = 3,
}

/// What became of one fetched blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RestoreStatus {
    /// Verified, decoded, and (if asked, and there was room) at home again.
    Restored = 0,
    /// The page was put, flushed or restored since.
    Stale = 1,
    /// Length, encoding, checksum or content do not match the stub.
    Corrupt = 2,
}

/// What a lender did with one foreign blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AdoptStatus {
    /// It is stored.
    Stored = 0,
    /// The quota for foreign pages is used up.
    Quota = 1,
    /// No frame is left below the high watermark.
    Full = 2,
    /// A page of an equal or higher generation is stored under its key.
    Stale = 3,
    /// Length, encoding or checksum are not those of a blob.
    Bad = 4,
}

/// The place in a `where` word.
pub fn place_of(whereabouts: u64) -> u32 {
    whereabouts as u32
}

/// A page elsewhere: what is needed to fetch and to verify it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AwayPage {
    /// How its holders know it.
    pub key: u64,
    /// Of the copy.
    pub generation: u64,
    /// Bytes of the blob.
    pub length: u16,
    /// Of the blob.
    pub encoding: u8,
    /// XXH3-64 of the blob.
    pub checksum: u64,
    /// Place and position.
    pub whereabouts: u64,
}

/// Pages elsewhere, as columns; see `AwayPages` in `zcache/page.py`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AwayPages {
    /// Which page of a batch each row is.
    pub positions: Vec<u64>,
    /// See `AwayPage`.
    pub keys: Vec<u64>,
    /// See `AwayPage`.
    pub generations: Vec<u64>,
    /// See `AwayPage`.
    pub lengths: Vec<u16>,
    /// See `AwayPage`.
    pub encodings: Vec<u8>,
    /// See `AwayPage`.
    pub checksums: Vec<u64>,
    /// See `AwayPage`.
    pub wheres: Vec<u64>,
}

impl AwayPages {
    /// Rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Add a row.
    pub fn push(&mut self, position: u64, page: &AwayPage) {
        self.positions.push(position);
        self.keys.push(page.key);
        self.generations.push(page.generation);
        self.lengths.push(page.length);
        self.encodings.push(page.encoding);
        self.checksums.push(page.checksum);
        self.wheres.push(page.whereabouts);
    }
}

/// Blobs as columns, borrowed: row i's bytes are the next `lengths[i]` of `payload`.
#[derive(Clone, Copy)]
pub struct Blobs<'a> {
    /// How the owner names the page towards lenders.
    pub keys: &'a [u64],
    /// Of the copy.
    pub generations: &'a [u64],
    /// Bytes of the blob, 1..=4096.
    pub lengths: &'a [u16],
    /// See `Encoding`.
    pub encodings: &'a [u8],
    /// XXH3-64 of the blob.
    pub checksums: &'a [u64],
    /// All blobs, back to back.
    pub payload: &'a [u8],
}

impl<'a> Blobs<'a> {
    /// Each blob in order. The lengths were checked to make up the payload.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (lengths, payload) = (self.lengths, self.payload);
        let mut start = 0;
        lengths.iter().map(move |length| {
            let part = &payload[start..start + usize::from(*length)];
            start += part.len();
            part
        })
    }
}

/// Blobs as columns, owned; see `Blobs`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PackedBlobs {
    /// See `Blobs`.
    pub keys: Vec<u64>,
    /// See `Blobs`.
    pub generations: Vec<u64>,
    /// See `Blobs`.
    pub lengths: Vec<u16>,
    /// See `Blobs`.
    pub encodings: Vec<u8>,
    /// See `Blobs`.
    pub checksums: Vec<u64>,
    /// See `Blobs`.
    pub payload: Vec<u8>,
}

impl PackedBlobs {
    /// The same, borrowed.
    pub fn view(&self) -> Blobs<'_> {
        Blobs {
            keys: &self.keys,
            generations: &self.generations,
            lengths: &self.lengths,
            encodings: &self.encodings,
            checksums: &self.checksums,
            payload: &self.payload,
        }
    }
}

/// The indexes of a batch: a run of consecutive ones, or any.
#[derive(Clone, Copy)]
pub enum Indexes<'a> {
    /// `start`, `start + 1`, ...: so many.
    Run(u64, usize),
    /// As they come.
    List(&'a [u64]),
}

impl Indexes<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Indexes::Run(_, count) => *count,
            Indexes::List(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index at a position below `len()`.
    #[inline]
    pub fn at(&self, position: usize) -> u64 {
        match self {
            Indexes::Run(start, _) => start + position as u64,
            Indexes::List(list) => list[position],
        }
    }
}
