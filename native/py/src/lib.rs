//! The Python module `zcache._native`: the cache of `zcache-core` behind the contract of
//! `zcache/contract.py`.
//!
//! Covers: arguments and answers. Does not cover: anything that a cache does (`zcache-core`). Read
//! next: `cache.rs`.

mod answers;
mod arguments;
mod cache;
mod errors;
mod measure;
mod names;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::cache::Cache;
    #[pymodule_export]
    use super::measure::{_bare_compress, _bare_decompress};
}
