//! The compressed page cache zcache, as plain Rust: zsmalloc, index, second-chance reclaim, spill
//! tickets, foreign blobs.
//!
//! The twin of the Python package `zcache`, whose `contract.py` says what each operation does. Read
//! next: `cache.rs` (operations and the lock), `entry.rs` (what is kept of a page), `index.rs`,
//! `zsmalloc.rs`.

mod arena;
pub mod bare;
pub mod cache;
mod chunk;
pub mod codec;
pub mod config;
pub mod counters;
mod displaced;
mod entries;
mod entry;
pub mod error;
mod gate;
mod get;
mod index;
mod leaf_blocks;
mod lending;
mod liblz4;
mod mapping;
pub mod page;
mod page_table;
mod pages;
mod prefetch;
mod put;
mod reclaim;
mod repatriation;
pub mod size_classes;
mod spill;
pub mod zsmalloc;
mod zspage;

pub use cache::{Answer, Cache};
pub use codec::Codec;
pub use config::Config;
pub use counters::Stats;
pub use error::Error;
pub use index::PoolSpec;
pub use pages::Pages;
pub use spill::{Ticket, Wheres};
