//! The codec without a cache, for benchmarks; see `zcache_core::bare`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zcache_core::bare::{compress_pages, decompress_pages};

use crate::arguments::Target;

/// Compress each page of `pages` by itself in a bare loop; lengths of the blocks, and the blocks if
/// `keep`.
#[pyfunction]
pub fn _bare_compress<'py>(
    py: Python<'py>,
    pages: &[u8],
    keep: bool,
) -> (Vec<u16>, Bound<'py, PyBytes>) {
    let (lengths, blocks) = py.detach(|| compress_pages(pages, keep));
    (lengths, PyBytes::new(py, &blocks))
}

/// Decompress blocks in a bare loop into a buffer of as many pages; how many are whole pages.
#[pyfunction]
pub fn _bare_decompress(
    lengths: Vec<u16>,
    blocks: &[u8],
    into: &Bound<'_, PyAny>,
) -> PyResult<usize> {
    let total: usize = lengths.iter().map(|length| usize::from(*length)).sum();
    if total > blocks.len() {
        let text = format!("blocks of {total} bytes in {} bytes", blocks.len());
        return Err(PyValueError::new_err(text));
    }
    let mut target = Target::new(into, lengths.len())?;
    Ok(decompress_pages(&lengths, blocks, target.view()))
}
