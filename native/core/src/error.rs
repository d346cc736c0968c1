//! Why an operation was refused.
//!
//! Covers: the causes; each is an exception of `zcache/errors.py`. Does not cover: values outside
//! of what a type can hold, which the bindings refuse.

use std::fmt;

/// A refusal; the cache is as it was unless the operation says otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// No pool has the id, or own and foreign pools were mixed up.
    NoSuchPool,
    /// All so many pool ids are taken.
    PoolTableFull(u64),
    /// A put found no room after so many pages of its batch were stored.
    Full {
        /// In words.
        reason: &'static str,
        /// Pages of the batch that were stored.
        stored: usize,
    },
    /// A page does not compress and such pages are refused.
    Poor {
        /// Pages of the batch that were stored.
        stored: usize,
    },
    /// A stored blob fails its checksum or its decompression.
    Corrupt(String),
    /// A handle, a place or columns that cannot be.
    BadHandle(String),
    /// A ticket that is not open, or answers that do not fit it.
    Ticket(String),
    /// What the debug check found.
    Verify(Vec<String>),
    /// An earlier operation failed half-way through a change: nothing here can be trusted any more.
    Broken,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchPool => f.write_str("no such pool"),
            Error::PoolTableFull(pools_max) => write!(f, "all {pools_max} pool ids are taken"),
            Error::Full { reason, .. } => f.write_str(reason),
            Error::Poor { .. } => {
                f.write_str("the page does not compress, and such pages are refused")
            }
            Error::Corrupt(what) | Error::BadHandle(what) | Error::Ticket(what) => {
                f.write_str(what)
            }
            Error::Verify(findings) => f.write_str(&findings.join("; ")),
            Error::Broken => {
                f.write_str("the cache failed in the middle of an earlier change; start it anew")
            }
        }
    }
}

impl std::error::Error for Error {}
