//! Answers to Python: columns, values, dataclasses of `zcache/page.py` and `zcache/stats.py`.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};
use zcache_core::page::{AwayPage, AwayPages, ObjectId, PackedBlobs};
use zcache_core::zsmalloc::{BAND_NAMES, ClassRow};
use zcache_core::{Stats, Ticket};

use crate::names::names;

/// A type that Python's `array` holds, and its code.
trait Element: Copy {
    const CODE: &'static str;
}

impl Element for u64 {
    const CODE: &'static str = "Q";
}
impl Element for u32 {
    const CODE: &'static str = "I";
}
impl Element for u16 {
    const CODE: &'static str = "H";
}

fn array<'py, T: Element>(py: Python<'py>, column: &[T]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: integers have no padding, so all their bytes may be read; the slice is `size_of_val`
    // bytes long.
    let bytes =
        unsafe { std::slice::from_raw_parts(column.as_ptr().cast::<u8>(), size_of_val(column)) };
    names(py)?
        .array
        .bind(py)
        .call1((T::CODE, PyBytes::new(py, bytes)))
}

/// `AwayPages`.
pub fn away_pages<'py>(py: Python<'py>, pages: &AwayPages) -> PyResult<Bound<'py, PyAny>> {
    let class = names(py)?.away_pages.bind(py);
    if pages.is_empty() {
        return class.call0();
    }
    class.call1((
        array(py, &pages.positions)?,
        array(py, &pages.keys)?,
        array(py, &pages.generations)?,
        array(py, &pages.lengths)?,
        PyByteArray::new(py, &pages.encodings),
        array(py, &pages.checksums)?,
        array(py, &pages.wheres)?,
    ))
}

/// `AwayPage`.
pub fn away_page<'py>(py: Python<'py>, page: &AwayPage) -> PyResult<Bound<'py, PyAny>> {
    let names = names(py)?;
    names.away_page.bind(py).call1((
        page.key,
        page.generation,
        page.length,
        &names.encoding[usize::from(page.encoding)],
        page.checksum,
        page.whereabouts,
    ))
}

/// `PackedBlobs`.
pub fn packed_blobs<'py>(py: Python<'py>, blobs: &PackedBlobs) -> PyResult<Bound<'py, PyAny>> {
    names(py)?.packed_blobs.bind(py).call1((
        array(py, &blobs.keys)?,
        array(py, &blobs.generations)?,
        array(py, &blobs.lengths)?,
        PyByteArray::new(py, &blobs.encodings),
        array(py, &blobs.checksums)?,
        PyBytes::new(py, &blobs.payload),
    ))
}

/// `SpillTicket`; `kind` as the caller gave it.
pub fn ticket<'py>(py: Python<'py>, ticket: &Ticket, kind: i64) -> PyResult<Bound<'py, PyAny>> {
    let names = names(py)?;
    names.spill_ticket.bind(py).call1((
        ticket.id,
        names.pool_kind.bind(py).call1((kind,))?,
        packed_blobs(py, &ticket.blobs)?,
        array(py, &ticket.pools)?,
    ))
}

/// An object's id as a number.
pub fn object_id<'py>(py: Python<'py>, id: &ObjectId) -> PyResult<Bound<'py, PyAny>> {
    if id[1] == 0 && id[2] == 0 {
        return Ok(id[0].into_pyobject(py)?.into_any());
    }
    let mut bytes = [0; 24];
    for (part, word) in bytes.chunks_exact_mut(8).zip(id) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let int = py.get_type::<pyo3::types::PyInt>();
    int.call_method1("from_bytes", (PyBytes::new(py, &bytes), "little"))
}

/// `CacheStats`.
pub fn stats<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    for (name, value) in &stats.named {
        fields.set_item(name, value)?;
    }
    let away = PyDict::new(py);
    for (place, persistent, ephemeral) in &stats.away_by_where {
        away.set_item(place, (persistent, ephemeral))?;
    }
    fields.set_item("away_by_where", away)?;
    names(py)?.cache_stats.bind(py).call((), Some(&fields))
}

/// Rows of `class_stats`.
pub fn class_stats<'py>(py: Python<'py>, rows: &[ClassRow]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for row in rows {
        let columns = PyDict::new(py);
        columns.set_item("class", row.class)?;
        columns.set_item("size", row.size)?;
        for (name, zspages) in BAND_NAMES.iter().zip(row.bands) {
            columns.set_item(name, zspages)?;
        }
        columns.set_item("obj_allocated", row.obj_allocated)?;
        columns.set_item("obj_used", row.obj_used)?;
        columns.set_item("pages_used", row.pages_used)?;
        columns.set_item("pages_per_zspage", row.pages_per_zspage)?;
        columns.set_item("freeable", row.freeable)?;
        list.append(columns)?;
    }
    Ok(list)
}
