//! Everything that is counted, and a snapshot of it; names and meanings are those of
//! `zcache/stats.py`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// Counters that change under the exclusive lock.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub struct Counters { $(pub $name: u64),* }

        impl Counters {
            /// Every counter by name.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    puts, puts_stored, puts_refused_full, puts_refused_poor, puts_frozen,
    stored_same_filled, stored_incompressible,
    flushes, flushes_found, object_flushes, object_flushes_found,
    ephemeral_evicted, foreign_ephemeral_evicted, limit_hits,
    tickets_begun, tickets_finished, tickets_cancelled,
    pages_spilled, pages_spill_refused, pages_spill_stale,
    pages_restored, pages_moved, restores_stale, restores_corrupt,
    foreign_adopted, foreign_refused_quota, foreign_refused_full, foreign_refused_stale,
    foreign_refused_bad, foreign_flushed,
    pages_local_peak, pages_foreign_peak,
}

/// Counters of gets, which readers raise side by side. Their sum by outcome is all gets.
#[derive(Debug, Default)]
pub struct GetCounters {
    /// Pages found and readable.
    pub hits: AtomicU64,
    /// No such page.
    pub misses: AtomicU64,
    /// The page is elsewhere.
    pub away: AtomicU64,
    /// The blob fails its check.
    pub corrupt: AtomicU64,
}

impl GetCounters {
    /// Count the answers of a run of gets.
    pub fn add(&self, hits: u64, misses: u64, away: u64, corrupt: u64) {
        for (counter, more) in [
            (&self.hits, hits),
            (&self.misses, misses),
            (&self.away, away),
            (&self.corrupt, corrupt),
        ] {
            if more > 0 {
                counter.fetch_add(more, Relaxed);
            }
        }
    }

    /// Every counter by name, `gets` among them.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let [hits, misses, away, corrupt] =
            [&self.hits, &self.misses, &self.away, &self.corrupt].map(|c| c.load(Relaxed));
        vec![
            ("gets", hits + misses + away + corrupt),
            ("get_hits", hits),
            ("get_misses", misses),
            ("gets_away", away),
            ("gets_corrupt", corrupt),
        ]
    }
}

/// A snapshot: counters and gauges by name, and the pages away by place as (place, persistent,
/// ephemeral).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fields of `CacheStats` but the last.
    pub named: Vec<(&'static str, u64)>,
    /// The last.
    pub away_by_where: Vec<(u32, u64, u64)>,
}

impl Stats {
    /// One figure by name; panics for a name that there is not.
    pub fn get(&self, name: &str) -> u64 {
        self.named
            .iter()
            .find(|(known, _)| *known == name)
            .expect("a known name")
            .1
    }
}
