//! Spill tickets: batches of cold own pages on their way to another place.
//!
//! Covers: choosing, handing out copies, ending a ticket. Does not cover: where pages go, and their
//! way back (`repatriation.rs`). The rules are those of `zcache/spill.py`.

use hashbrown::HashMap;

use crate::codec::checksum;
use crate::entries::Entries;
use crate::entry::{AWAY, ENCODING_MASK, LOCAL, PERSISTENT, TRANSIT, queue_of};
use crate::error::Error;
use crate::page::{AwayPage, PackedBlobs, PoolKind, place_of};
use crate::reclaim::PASSES_MAX;

/// Bytes of the columns of a `Ticket`, a page: key, generation, length, encoding, checksum, pool.
const HANDED_OUT_ROW_BYTES: usize = 8 + 8 + 2 + 1 + 8 + 4;

/// One page of a ticket.
#[derive(Clone, Copy)]
struct Row {
    entry: u32,
    length: u16,
    encoding: u8,
    generation: u64,
    checksum: u64,
}

/// A ticket as it is handed out: the pages' blobs, and the pool of each.
pub struct Ticket {
    /// Its number.
    pub id: u64,
    /// Copies of the blobs.
    pub blobs: PackedBlobs,
    /// Pool ids, as they are now.
    pub pools: Vec<u32>,
}

/// Where the pages of a ticket went.
#[derive(Clone, Copy)]
pub enum Wheres<'a> {
    /// All to one.
    One(u64),
    /// Each to its own.
    Column(&'a [u64]),
}

/// The open tickets of a cache.
#[derive(Default)]
pub struct SpillDesk {
    open: HashMap<u64, Vec<Row>>,
    last_id: u64,
    pages_open: u64,
}

impl SpillDesk {
    /// Pages named by open tickets, stale or not.
    pub fn pages_open(&self) -> u64 {
        self.pages_open
    }

    /// Begin a ticket of about `bytes_max` bytes of blobs; None if there is no page for it.
    pub fn begin(
        &mut self,
        entries: &mut Entries,
        bytes_max: u64,
        kind: PoolKind,
        pages_max: usize,
    ) -> Option<Ticket> {
        entries.note_peaks();
        let queue = queue_of(if kind == PoolKind::Persistent {
            PERSISTENT
        } else {
            0
        });
        let mut blobs = PackedBlobs::default();
        let mut pools = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        let mut passes = PASSES_MAX;
        while rows.len() < pages_max {
            let entry = entries.table.coldest(queue, &mut passes);
            if entry == 0 {
                break;
            }
            let length = entries.table[entry].length();
            if !rows.is_empty() && blobs.payload.len() as u64 + length as u64 > bytes_max {
                break;
            }
            let sum = checksum(entries.blob(entry));
            entries.table.unlink(entry);
            if sum as u32 != entries.table[entry].checksum_low() {
                // No lender would take it: out of the way, for a get to report.
                entries.table.append(entry, queue);
                if passes == 0 {
                    break;
                }
                passes -= 1;
                continue;
            }
            blobs.payload.extend_from_slice(entries.blob(entry));
            let flags = entries.table.change_state(entry, TRANSIT);
            let generation = entries.table.next_generation();
            let page = &mut entries.table[entry];
            page.enter_transit(sum);
            page.generation = generation;
            rows.push(Row {
                entry,
                length: length as u16,
                encoding: flags & ENCODING_MASK,
                generation,
                checksum: sum,
            });
            pools.push(entries.pool_of(entry));
        }
        if rows.is_empty() {
            return None;
        }
        blobs.keys = rows.iter().map(|row| u64::from(row.entry)).collect();
        blobs.generations = rows.iter().map(|row| row.generation).collect();
        blobs.lengths = rows.iter().map(|row| row.length).collect();
        blobs.encodings = rows.iter().map(|row| row.encoding).collect();
        blobs.checksums = rows.iter().map(|row| row.checksum).collect();
        self.last_id += 1;
        self.pages_open += rows.len() as u64;
        rows.shrink_to_fit();
        self.open.insert(self.last_id, rows);
        entries.counters.tickets_begun += 1;
        Some(Ticket {
            id: self.last_id,
            blobs,
            pools,
        })
    }

    /// End a ticket: its pages are away; returns how many became so. `accepted`: non-zero where a
    /// page was taken.
    ///
    /// The words of pages that were not taken are not looked at.
    pub fn finish(
        &mut self,
        entries: &mut Entries,
        id: u64,
        wheres: Wheres<'_>,
        accepted: Option<&[u8]>,
    ) -> Result<u64, Error> {
        // Before the ticket ends: an answer that does not fit changes nothing.
        if let Some(pages) = self.open.get(&id).map(Vec::len) {
            let fits = |rows: usize| rows == pages;
            let words = match wheres {
                Wheres::One(_) => pages,
                Wheres::Column(words) => words.len(),
            };
            if !fits(words) || !accepted.is_none_or(|accepted| fits(accepted.len())) {
                let text = format!("answers that do not fit the {pages} pages of ticket {id}");
                return Err(Error::Ticket(text));
            }
        }
        let rows = self.end(id)?;
        let (mut gone, mut stale) = (0, 0);
        let mut refused = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let taken = accepted.is_none_or(|accepted| accepted[at] != 0);
            let whereabouts = match wheres {
                Wheres::One(word) => word,
                Wheres::Column(words) => words[at],
            };
            if !in_transit(entries, row) {
                stale += 1;
                if taken {
                    entries.displaced.push(AwayPage {
                        key: u64::from(row.entry),
                        generation: row.generation,
                        length: row.length,
                        encoding: row.encoding,
                        checksum: row.checksum,
                        whereabouts,
                    });
                }
            } else if taken {
                debug_assert_ne!(place_of(whereabouts), 0);
                let page = &entries.table[row.entry];
                entries.zsmalloc.free(page.location(), page.length());
                let flags = entries.table.change_state(row.entry, AWAY);
                entries.table[row.entry].leave(whereabouts);
                entries.count_away(whereabouts, flags, 1);
                gone += 1;
            } else {
                refused.push(row.entry);
            }
        }
        come_home(entries, &refused);
        let counters = &mut entries.counters;
        counters.tickets_finished += 1;
        counters.pages_spilled += gone;
        counters.pages_spill_refused += refused.len() as u64;
        counters.pages_spill_stale += stale;
        Ok(gone)
    }

    /// End a ticket with nothing gone: its pages are as cold as before, or the most recent ones
    /// (`warm`).
    pub fn cancel(&mut self, entries: &mut Entries, id: u64, warm: bool) -> Result<(), Error> {
        let rows = self.end(id)?;
        let back: Vec<u32> = rows
            .iter()
            .filter(|row| in_transit(entries, row))
            .map(|row| row.entry)
            .collect();
        if warm {
            for entry in &back {
                let flags = entries.table.change_state(*entry, LOCAL);
                entries.table.append(*entry, queue_of(flags));
            }
        } else {
            come_home(entries, &back);
        }
        entries.counters.tickets_cancelled += 1;
        entries.counters.pages_spill_stale += (rows.len() - back.len()) as u64;
        Ok(())
    }

    /// Bytes of what is kept of open tickets, payloads included.
    pub fn metadata_bytes(&self) -> usize {
        // What was handed out counts here, too: it is in memory because the ticket is open.
        let handed_out = |row: &Row| HANDED_OUT_ROW_BYTES + usize::from(row.length);
        let rows = self.open.values().map(|rows| {
            rows.capacity() * size_of::<Row>() + rows.iter().map(handed_out).sum::<usize>()
        });
        self.open.allocation_size() + rows.sum::<usize>()
    }

    /// What does not add up between tickets and entries.
    pub fn verify(&self, entries: &Entries) -> Vec<String> {
        let mut found = Vec::new();
        let pages: usize = self.open.values().map(Vec::len).sum();
        if pages as u64 != self.pages_open {
            found.push("pages in open tickets do not add up".into());
        }
        let live = self
            .open
            .values()
            .flatten()
            .filter(|row| in_transit(entries, row))
            .count();
        if live as u64 != entries.table.count(TRANSIT, false) {
            found.push("a page is in transit without a ticket".into());
        }
        found
    }

    fn end(&mut self, id: u64) -> Result<Vec<Row>, Error> {
        let rows = self.open.remove(&id);
        let rows =
            rows.ok_or_else(|| Error::Ticket(format!("ticket {id} is not open in this cache")))?;
        self.pages_open -= rows.len() as u64;
        Ok(rows)
    }
}

fn in_transit(entries: &Entries, row: &Row) -> bool {
    entries.table.has(u64::from(row.entry)) && {
        let page = &entries.table[row.entry];
        page.state() == TRANSIT && page.generation == row.generation
    }
}

/// Local again, and as cold as before: at the queue's cold end, in the order they had.
fn come_home(entries: &mut Entries, back: &[u32]) {
    for entry in back.iter().rev() {
        let flags = entries.table.change_state(*entry, LOCAL);
        entries.table.prepend(*entry, queue_of(flags));
    }
}
