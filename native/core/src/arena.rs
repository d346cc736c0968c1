//! Memory and records of all zspages of one length: numbers given out, used again, given back.
//!
//! Covers: segments, which number is opened next, freed frames on their way back to the system.
//! Does not cover: lists by class and fullness (`zspage.rs`), slots (`zsmalloc.rs`), the system
//! calls (`mapping.rs`).
//!
//! An arena is cut into segments of `SEGMENT_ZSPAGES` zspages, packed tightly; zspage n is the
//! (n mod SEGMENT_ZSPAGES)th of segment n / SEGMENT_ZSPAGES. Each segment has its own mapping and
//! its own records, and both go when its last zspage is closed; one empty segment is kept, so that
//! a load at the border does not map and unmap in turns.
//!
//! A closed zspage is first *pending*: its frames are still in memory, and it is the first to be
//! opened again. `discard_pending` makes pending zspages *idle*: frames given back, number on its
//! segment's list.

use std::collections::BTreeSet;

use crate::mapping::Mapping;
use crate::size_classes::FRAME_BYTES;

/// Zspages a segment: 8 MiB of address space for zspages of one frame, 128 MiB for those of 16.
pub(crate) const SEGMENT_ZSPAGES: usize = 1 << SEGMENT_SHIFT;
const SEGMENT_SHIFT: u32 = 11;

/// Zspage numbers fit into 29 bits, so that a number and a slot fit into 37.
const SEGMENTS_MAX: usize = 1 << (29 - SEGMENT_SHIFT);

/// The end of a segment's list of idle zspages.
const END: u16 = SEGMENT_ZSPAGES as u16;

/// What an arena keeps about each zspage. Records of zspages that are not open hold links.
pub(crate) trait Record: Copy {
    /// The record of a zspage that is not open; `next` is at most `SEGMENT_ZSPAGES`.
    fn closed(next: u16) -> Self;
    /// The link; None for an open zspage.
    fn next_closed(&self) -> Option<u16>;
}

/// Frames that an arena may ask the system for ahead of their first use, in one call: one by one,
/// faults cost more than the zeroing that they are for. At most an eighth of what is in use.
pub(crate) const AHEAD_FRAMES_MAX: usize = 64;

struct Segment<R> {
    memory: Mapping,
    /// Zspages, from the first on, that the system was asked for.
    populated: usize,
    /// As many as were ever opened here.
    records: Vec<R>,
    /// Open zspages.
    live: u16,
    /// First of the list of idle zspages, or `END`.
    idle: u16,
}

impl<R> Segment<R> {
    /// Ask the system for the zspage opened last and some more.
    fn populate(&mut self, zspage_bytes: usize) {
        let opened = self.records.len();
        let ahead = (opened / 8).min(AHEAD_FRAMES_MAX * FRAME_BYTES / zspage_bytes);
        let until = (opened + ahead).min(SEGMENT_ZSPAGES);
        if ahead > 0 {
            let start = (opened - 1) * zspage_bytes;
            self.memory.populate(start, until * zspage_bytes - start);
        }
        self.populated = until;
    }

    /// Give back what was asked for and not used yet.
    fn discard_ahead(&mut self, zspage_bytes: usize) {
        let opened = self.records.len();
        if self.populated > opened {
            let start = opened * zspage_bytes;
            let length = (self.populated - opened) * zspage_bytes;
            self.memory.discard(start, length);
            self.populated = opened;
        }
    }
}

/// All zspages of one length.
pub(crate) struct Arena<R> {
    zspage_bytes: usize,
    segments: Vec<Option<Segment<R>>>,
    /// Mapped segments that can open a zspage: an idle one or one never opened.
    with_idle: BTreeSet<u32>,
    /// A mapped segment without an open zspage.
    spare: Option<usize>,
    /// Closed zspages whose frames are still in memory, the last closed at the end.
    pending: Vec<u32>,
}

fn split(number: u32) -> (usize, usize) {
    (
        (number >> SEGMENT_SHIFT) as usize,
        number as usize & (SEGMENT_ZSPAGES - 1),
    )
}

impl<R: Record> Arena<R> {
    /// An arena, nothing mapped, for zspages of that many frames.
    pub fn new(frames: usize) -> Self {
        Self {
            zspage_bytes: frames * FRAME_BYTES,
            segments: Vec::new(),
            with_idle: BTreeSet::new(),
            spare: None,
            pending: Vec::new(),
        }
    }

    /// Open a zspage: the last one closed that is pending, else an idle one of the lowest segment.
    /// Its bytes are arbitrary. None, and nothing changed, when the system refuses a mapping.
    pub fn open(&mut self, record: R) -> Option<u32> {
        if let Some(number) = self.pending.pop() {
            let (segment, at) = split(number);
            let found = self.segment_mut(segment);
            found.records[at] = record;
            found.live += 1;
            if self.spare == Some(segment) {
                self.spare = None;
            }
            return Some(number);
        }
        let segment = match self.with_idle.first() {
            Some(&segment) => segment as usize,
            None => self.map_segment()?,
        };
        let zspage_bytes = self.zspage_bytes;
        let found = self.segment_mut(segment);
        let at = if found.idle == END {
            found.records.push(record);
            if found.records.len() > found.populated {
                found.populate(zspage_bytes);
            }
            found.records.len() - 1
        } else {
            let at = usize::from(found.idle);
            found.idle = found.records[at].next_closed().unwrap_or(END);
            found.records[at] = record;
            at
        };
        found.live += 1;
        if found.idle == END && found.records.len() == SEGMENT_ZSPAGES {
            self.with_idle.remove(&(segment as u32));
        }
        if self.spare == Some(segment) {
            self.spare = None;
        }
        Some((segment << SEGMENT_SHIFT | at) as u32)
    }

    /// Close an open zspage: it is pending now. An emptied segment may be unmapped at once.
    pub fn close(&mut self, number: u32) {
        let (segment, at) = split(number);
        let found = self.segment_mut(segment);
        debug_assert!(
            found.records[at].next_closed().is_none(),
            "zspage closed twice"
        );
        found.records[at] = R::closed(END);
        found.live -= 1;
        let emptied = found.live == 0;
        self.pending.push(number);
        if emptied {
            match self.spare {
                None => self.spare = Some(segment),
                Some(other) => {
                    self.spare = Some(segment.min(other));
                    self.unmap_segment(segment.max(other));
                }
            }
        }
    }

    /// Zspages whose frames are still in memory although they are closed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Give back the frames of pending zspages, those longest closed first, until `keep` are left.
    pub fn discard_pending(&mut self, keep: usize) {
        let count = self.pending.len().saturating_sub(keep);
        let mut numbers: Vec<u32> = self.pending.drain(..count).collect();
        for &number in &numbers {
            let (segment, at) = split(number);
            let found = self.segment_mut(segment);
            found.records[at] = R::closed(found.idle);
            found.idle = at as u16;
            self.with_idle.insert(segment as u32);
        }
        numbers.sort_unstable();
        // Neighbours of one segment go in one call.
        let zspage_bytes = self.zspage_bytes;
        for run in numbers.chunk_by(|&a, &b| b == a + 1 && split(a).0 == split(b).0) {
            let (segment, at) = split(run[0]);
            self.segment_mut(segment)
                .memory
                .discard(at * zspage_bytes, run.len() * zspage_bytes);
        }
    }

    /// Give back all that is not in use: pending frames, and the segment without open zspages.
    pub fn give_back(&mut self) {
        if let Some(segment) = self.spare.take() {
            self.unmap_segment(segment);
        }
        self.discard_pending(0);
        for segment in self.segments.iter_mut().flatten() {
            segment.discard_ahead(self.zspage_bytes);
        }
    }

    /// The record of a zspage that is or was open; None for others.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&R> {
        let (segment, at) = split(number);
        self.segments.get(segment)?.as_ref()?.records.get(at)
    }

    /// The record of a zspage. Panics if it was never opened.
    #[inline]
    pub fn record(&self, number: u32) -> &R {
        let (segment, at) = split(number);
        &self.segment(segment).records[at]
    }

    /// The record of a zspage, to change. Panics if it was never opened.
    #[inline]
    pub fn record_mut(&mut self, number: u32) -> &mut R {
        let (segment, at) = split(number);
        &mut self.segment_mut(segment).records[at]
    }

    /// Bytes of a zspage. Panics if its segment is not mapped or they are not all inside.
    #[inline]
    pub fn bytes(&self, number: u32, offset: usize, len: usize) -> &[u8] {
        self.check(offset, len);
        let (segment, at) = split(number);
        self.segment(segment)
            .memory
            .bytes(at * self.zspage_bytes + offset, len)
    }

    /// Bytes of a zspage, to write. Panics as `bytes` does.
    #[inline]
    pub fn bytes_mut(&mut self, number: u32, offset: usize, len: usize) -> &mut [u8] {
        self.check(offset, len);
        let (segment, at) = split(number);
        let start = at * self.zspage_bytes + offset;
        self.segment_mut(segment).memory.bytes_mut(start, len)
    }

    /// Hint that bytes of a zspage will be read. Does nothing where `bytes` would panic.
    #[inline]
    pub fn prefetch(&self, number: u32, offset: usize, len: usize) {
        let (segment, at) = split(number);
        if let Some(Some(found)) = self.segments.get(segment) {
            found.memory.prefetch(at * self.zspage_bytes + offset, len);
        }
    }

    /// Open zspages and their records, ascending.
    pub fn live(&self) -> impl Iterator<Item = (u32, &R)> {
        self.segments
            .iter()
            .enumerate()
            .flat_map(|(segment, found)| {
                found.iter().flat_map(move |found| {
                    found
                        .records
                        .iter()
                        .enumerate()
                        .filter_map(move |(at, record)| {
                            let number = (segment << SEGMENT_SHIFT | at) as u32;
                            record.next_closed().is_none().then_some((number, record))
                        })
                })
            })
    }

    /// Frames in memory that no open zspage has: those of pending ones, and those asked for ahead.
    pub fn frames_kept(&self) -> usize {
        let ahead: usize = self
            .segments
            .iter()
            .flatten()
            .map(|s| s.populated.saturating_sub(s.records.len()))
            .sum();
        (self.pending.len() + ahead) * (self.zspage_bytes / FRAME_BYTES)
    }

    /// Bytes of all this beside the frames: records above all.
    pub fn metadata_bytes(&self) -> usize {
        let records: usize = self
            .segments
            .iter()
            .flatten()
            .map(|s| s.records.capacity())
            .sum();
        records * size_of::<R>()
            + self.segments.capacity() * size_of::<Option<Segment<R>>>()
            // Nodes of a B-tree are at least half full.
            + self.with_idle.len() * 2 * size_of::<u32>()
            + self.pending.capacity() * size_of::<u32>()
    }

    /// What does not add up.
    pub fn verify(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![0; self.segments.len()];
        for &number in &self.pending {
            pending[split(number).0] += 1;
            if self.get(number).and_then(R::next_closed) != Some(END) {
                found.push(format!("the pending zspage {number} is open"));
            }
        }
        let mut empty = None;
        for (number, segment) in self.segments.iter().enumerate() {
            let has_idle = self.with_idle.contains(&(number as u32));
            let Some(segment) = segment else {
                if has_idle || pending[number] != 0 {
                    found.push(format!("segment {number} is in use and not mapped"));
                }
                continue;
            };
            if segment.live == 0 && empty.replace(number).is_some() {
                found.push("two segments are empty".into());
            }
            let mut idle = 0;
            let mut at = segment.idle;
            while let Some(record) = segment.records.get(usize::from(at)) {
                idle += 1;
                let Some(next) = record.next_closed().filter(|_| idle <= SEGMENT_ZSPAGES) else {
                    found.push(format!(
                        "segment {number} has a broken list of idle zspages"
                    ));
                    break;
                };
                at = next;
            }
            let live = segment
                .records
                .iter()
                .filter(|r| r.next_closed().is_none())
                .count();
            if live != usize::from(segment.live)
                || live + idle + pending[number] != segment.records.len()
            {
                found.push(format!("segment {number} has lost zspages"));
            }
            if has_idle != (idle > 0 || segment.records.len() < SEGMENT_ZSPAGES) {
                found.push(format!(
                    "segment {number} is wrongly known for its idle zspages"
                ));
            }
        }
        if empty != self.spare {
            found.push("the empty segment is not the spare one".into());
        }
        found
    }

    /// Map the lowest segment that is not; it is spare until a zspage is opened in it.
    fn map_segment(&mut self) -> Option<usize> {
        let hole = self.segments.iter().position(Option::is_none);
        let segment = hole.unwrap_or(self.segments.len());
        if segment >= SEGMENTS_MAX {
            return None;
        }
        let memory = Mapping::new(SEGMENT_ZSPAGES * self.zspage_bytes)?;
        if hole.is_none() {
            self.segments.push(None);
        }
        self.segments[segment] = Some(Segment {
            memory,
            populated: 0,
            records: Vec::new(),
            live: 0,
            idle: END,
        });
        self.with_idle.insert(segment as u32);
        Some(segment)
    }

    fn unmap_segment(&mut self, segment: usize) {
        self.pending.retain(|&number| split(number).0 != segment);
        self.with_idle.remove(&(segment as u32));
        self.segments[segment] = None;
        while let Some(None) = self.segments.last() {
            self.segments.pop();
        }
    }

    #[inline]
    fn segment(&self, segment: usize) -> &Segment<R> {
        self.segments[segment]
            .as_ref()
            .expect("the segment is mapped")
    }

    #[inline]
    fn segment_mut(&mut self, segment: usize) -> &mut Segment<R> {
        self.segments[segment]
            .as_mut()
            .expect("the segment is mapped")
    }

    #[inline]
    fn check(&self, offset: usize, len: usize) {
        assert!(
            offset <= self.zspage_bytes && len <= self.zspage_bytes - offset,
            "bytes outside of the zspage"
        );
    }

    /// Frames of the arena that are in memory.
    #[cfg(test)]
    pub fn resident_frames(&self) -> usize {
        self.segments
            .iter()
            .flatten()
            .map(|segment| segment.memory.resident_frames())
            .sum()
    }

    /// Segments that are mapped.
    #[cfg(test)]
    pub fn mapped_segments(&self) -> usize {
        self.segments.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some: open; None and a link: closed.
    #[derive(Clone, Copy)]
    struct Plain(Option<u16>);

    impl Record for Plain {
        fn closed(next: u16) -> Self {
            Self(Some(next))
        }
        fn next_closed(&self) -> Option<u16> {
            self.0
        }
    }

    const OPEN: Plain = Plain(None);

    fn open(arena: &mut Arena<Plain>, count: usize) -> Vec<u32> {
        (0..count).map(|_| arena.open(OPEN).unwrap()).collect()
    }

    #[test]
    fn the_last_zspage_closed_is_the_first_opened_again() {
        for discarded in [false, true] {
            let mut arena = Arena::new(3);
            assert_eq!(open(&mut arena, 3), [0, 1, 2]);
            arena.close(1);
            arena.close(0);
            if discarded {
                arena.discard_pending(0);
            }
            assert_eq!(arena.verify(), [""; 0]);
            assert_eq!(open(&mut arena, 3), [0, 1, 3]);
            assert_eq!(arena.verify(), [""; 0]);
        }
    }

    #[test]
    fn idle_zspages_of_lower_segments_come_first() {
        let mut arena = Arena::new(1);
        open(&mut arena, 3 * SEGMENT_ZSPAGES);
        let numbers = [
            5,
            SEGMENT_ZSPAGES as u32 + 7,
            2 * SEGMENT_ZSPAGES as u32 + 9,
        ];
        for number in [numbers[1], numbers[0], numbers[2]] {
            arena.close(number);
        }
        arena.discard_pending(0);
        assert_eq!(open(&mut arena, 3), numbers);
    }

    #[test]
    fn frames_of_closed_zspages_stay_until_discarded() {
        let mut arena = Arena::new(2);
        for number in open(&mut arena, 100) {
            arena.bytes_mut(number, 0, 8192).fill(7);
        }
        let ahead = arena.resident_frames() - 200;
        assert!(ahead <= AHEAD_FRAMES_MAX.min(200 / 8));
        for number in 10..60 {
            arena.close(number);
        }
        assert_eq!(arena.resident_frames(), 200 + ahead);
        arena.discard_pending(20);
        assert_eq!(arena.resident_frames(), 140 + ahead);
        assert_eq!(arena.pending(), 20);
        arena.discard_pending(0);
        assert_eq!(arena.resident_frames(), 100 + ahead);
        arena.give_back();
        assert_eq!(arena.resident_frames(), 100);
        assert_eq!(arena.bytes(10, 0, 8192), [0; 8192]);
        assert_eq!(arena.bytes(9, 0, 8192), [7; 8192]);
        assert_eq!(arena.bytes(60, 0, 8192), [7; 8192]);
    }

    #[test]
    fn empty_segments_are_unmapped_but_for_one() {
        let mut arena = Arena::new(1);
        let numbers = open(&mut arena, 4 * SEGMENT_ZSPAGES);
        assert_eq!(arena.mapped_segments(), 4);
        for &number in &numbers[SEGMENT_ZSPAGES..] {
            arena.close(number);
        }
        assert_eq!(arena.mapped_segments(), 2);
        assert_eq!(arena.verify(), [""; 0]);
        arena.discard_pending(0);
        assert_eq!(open(&mut arena, 1)[0] as usize / SEGMENT_ZSPAGES, 1);
        assert_eq!(arena.verify(), [""; 0]);
        for &number in &numbers[..SEGMENT_ZSPAGES] {
            arena.close(number);
        }
        assert_eq!(arena.mapped_segments(), 2);
        arena.give_back();
        assert_eq!(arena.mapped_segments(), 1);
        assert_eq!(arena.verify(), [""; 0]);
        // The hole is filled before the arena grows.
        arena.discard_pending(0);
        let again = open(&mut arena, 2 * SEGMENT_ZSPAGES);
        assert_eq!(again.iter().map(|n| n >> SEGMENT_SHIFT).max(), Some(2));
        assert_eq!(arena.get(0).map(|r| r.0), Some(None));
        assert_eq!(arena.verify(), [""; 0]);
    }

    #[test]
    fn records_are_kept_for_opened_zspages_only() {
        let mut arena = Arena::new(16);
        assert_eq!(arena.metadata_bytes(), 0);
        open(&mut arena, 10);
        assert!(arena.metadata_bytes() < 1000);
        assert!(arena.get(9).is_some());
        assert!(arena.get(10).is_none());
        assert!(arena.get(u32::MAX).is_none());
        assert_eq!(arena.live().count(), 10);
    }

    #[test]
    #[should_panic(expected = "outside of the zspage")]
    fn bytes_of_the_neighbour_are_refused() {
        let mut arena = Arena::new(1);
        open(&mut arena, 2);
        let _ = arena.bytes(0, 4000, 100);
    }
}
