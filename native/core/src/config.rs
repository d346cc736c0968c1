//! The knobs of one cache, checked by whoever builds them (`zcache/config.py`).

use crate::codec::Codec;
use crate::page::PAGE_SIZE;

/// Limits and policies; see `CacheConfig` in `zcache/config.py` for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Hard limit of all frames, in bytes.
    pub pool_bytes_max: u64,
    /// Share of the limit above which pages should leave.
    pub high_watermark: f64,
    /// Share at or under which a cache that hit its limit takes new persistent pages again.
    pub accept_watermark: f64,
    /// Quota for foreign pages, in bytes of their slots.
    pub foreign_bytes_max: u64,
    /// Codec of new pages in pools that have none of their own.
    pub codec: Codec,
    /// Whether a page that does not compress is refused.
    pub refuse_incompressible: bool,
    /// Longest zspage, in frames.
    pub chain_frames_max: usize,
    /// How many pools there may be.
    pub pools_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            pool_bytes_max: 256 << 20,
            high_watermark: 0.90,
            accept_watermark: 1.0,
            foreign_bytes_max: 0,
            codec: Codec::Lz4,
            refuse_incompressible: false,
            chain_frames_max: 8,
            pools_max: 65536,
        }
    }
}

impl Config {
    /// The limit in whole frames.
    pub fn frames_max(&self) -> u64 {
        self.pool_bytes_max / PAGE_SIZE as u64
    }
}
