//! Arguments from Python: numbers in range, columns, memory.
//!
//! A value that is out of range is handed to the check of `zcache/page.py`, which raises what the
//! Python cache raises.

use pyo3::buffer::{PyBuffer, PyUntypedBuffer};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMemoryView, PyRange};
use zcache_core::Pages;
use zcache_core::page::{
    Blobs, GetFree, Indexes, OBJECT_ID_INVALID, ObjectId, PAGE_SIZE, PoolKind,
};

use crate::errors::{bad_handle, exception};
use crate::names::names;

/// A pool's id. One that no pool can have is refused as one that no pool has.
pub fn pool_id(pool: &Bound<'_, PyAny>) -> PyResult<u32> {
    pool.extract().map_err(|error| {
        if pool.is_instance_of::<PyInt>() {
            exception(pool.py(), "NoSuchPoolError", (pool,))
        } else {
            error
        }
    })
}

/// A pool's kind.
pub fn pool_kind(kind: &Bound<'_, PyAny>) -> PyResult<PoolKind> {
    match kind.extract::<i64>() {
        Ok(0) => Ok(PoolKind::Ephemeral),
        Ok(1) => Ok(PoolKind::Persistent),
        _ => {
            let py = kind.py();
            let kind: i64 = names(py)?.pool_kind.bind(py).call1((kind,))?.extract()?;
            Ok(if kind == 0 {
                PoolKind::Ephemeral
            } else {
                PoolKind::Persistent
            })
        }
    }
}

/// What a get does with what it finds.
pub fn get_free(free: i64) -> GetFree {
    match free {
        0 => GetFree::ByKind,
        1 => GetFree::Always,
        _ => GetFree::Never,
    }
}

/// An object's id.
pub fn object_id(object: &Bound<'_, PyAny>) -> PyResult<ObjectId> {
    if let Ok(low) = object.extract::<u64>() {
        return Ok([low, 0, 0]);
    }
    let py = object.py();
    names(py)?.check_handle.bind(py).call1((object, 0))?;
    let bytes = object.call_method1(intern!(py, "to_bytes"), (24, intern!(py, "little")))?;
    let bytes: &[u8] = bytes.cast::<PyBytes>()?.as_bytes();
    let mut words = [0; 3];
    for (word, part) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(part.try_into().expect("cut to size"));
    }
    debug_assert_ne!(words, OBJECT_ID_INVALID);
    Ok(words)
}

/// One index; `object` is checked first, as the Python cache does.
pub fn index(object: &Bound<'_, PyAny>, index: &Bound<'_, PyAny>) -> PyResult<(ObjectId, u64)> {
    let id = object_id(object)?;
    index.extract().map(|index| (id, index)).or_else(|error| {
        let py = object.py();
        names(py)?.check_handle.bind(py).call1((object, index))?;
        Err(error)
    })
}

/// A number of any size, cut to what a u64 holds.
pub fn clamped(number: &Bound<'_, PyAny>) -> PyResult<u64> {
    match number.extract::<u64>() {
        Ok(number) => Ok(number),
        Err(error) if !number.is_instance_of::<PyInt>() => Err(error),
        Err(_) => Ok(if number.lt(0)? { 0 } else { u64::MAX }),
    }
}

/// The indexes of a batch, kept for the time of a call.
pub enum IndexColumn {
    Run(u64, usize),
    List(Vec<u64>),
}

impl IndexColumn {
    /// From a range or any other sequence; the object's id with them.
    pub fn new(
        object: &Bound<'_, PyAny>,
        indexes: &Bound<'_, PyAny>,
    ) -> PyResult<(ObjectId, Self)> {
        let id = object_id(object)?;
        if let Ok(range) = indexes.cast::<PyRange>() {
            // One too long to have a length is refused here: nobody has that many pages.
            let count = range.len()?;
            if count == 0 {
                return Ok((id, IndexColumn::Run(0, 0)));
            }
            // The ends are checked by themselves, as a range may have more items than memory holds.
            let (first, last) = (range.get_item(0)?, range.get_item(count - 1)?);
            let first = self::index(object, &first)?.1;
            let last = self::index(object, &last)?.1;
            if last.checked_sub(first) == Some(count as u64 - 1) {
                return Ok((id, IndexColumn::Run(first, count)));
            }
        }
        match words(indexes) {
            Ok(list) => Ok((id, IndexColumn::List(list))),
            Err(error) => {
                let py = object.py();
                let builtins = py.import("builtins")?;
                for bound in ["min", "max"] {
                    let bound = builtins.getattr(bound)?.call1((indexes,))?;
                    names(py)?.check_handle.bind(py).call1((object, bound))?;
                }
                Err(error)
            }
        }
    }

    /// The same, for the core.
    pub fn view(&self) -> Indexes<'_> {
        match self {
            IndexColumn::Run(start, count) => Indexes::Run(*start, *count),
            IndexColumn::List(list) => Indexes::List(list),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.view().len()
    }
}

/// A column of 64-bit words.
pub fn words(column: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    if let Ok(buffer) = PyBuffer::<u64>::get(column) {
        return buffer.to_vec(column.py());
    }
    column.try_iter()?.map(|item| item?.extract()).collect()
}

/// A column of words among which there may be numbers that are none. `large`: what those above the
/// range become.
pub fn words_or_not(column: &Bound<'_, PyAny>, large: Option<u64>) -> PyResult<Vec<Option<u64>>> {
    if let Ok(words) = words(column) {
        return Ok(words.into_iter().map(Some).collect());
    }
    let mut found = Vec::new();
    for item in column.try_iter()? {
        let item = item?;
        found.push(match item.extract::<u64>() {
            Ok(word) => Some(word),
            Err(error) if !item.is_instance_of::<PyInt>() => return Err(error),
            Err(_) if item.lt(0)? => None,
            Err(_) => large,
        });
    }
    Ok(found)
}

fn halves(column: &Bound<'_, PyAny>) -> PyResult<Vec<u16>> {
    if let Ok(buffer) = PyBuffer::<u16>::get(column) {
        return buffer.to_vec(column.py());
    }
    column.try_iter()?.map(|item| item?.extract()).collect()
}

/// A column of bytes.
pub fn bytes(column: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(buffer) = PyBuffer::<u8>::get(column) {
        return buffer.to_vec(column.py());
    }
    column.try_iter()?.map(|item| item?.extract()).collect()
}

/// Bytes of so many pages; None for more than there can be.
fn bytes_of(pages: usize) -> Option<usize> {
    pages.checked_mul(PAGE_SIZE)
}

fn wrong_size(py: Python<'_>, bytes: usize, pages: usize) -> PyErr {
    let text = format!("{bytes} bytes for {pages} pages of {PAGE_SIZE} bytes each");
    bad_handle(py, text)
}

/// Pages that are to be stored, so many, back to back in contiguous memory.
pub struct PagesBuffer {
    buffer: PyUntypedBuffer,
    pages: usize,
    stable: bool,
}

/// Whether memory is that of a `bytes` object, which nobody writes to.
fn is_stable(payload: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(view) = payload.cast::<PyMemoryView>() {
        return Ok(view
            .getattr(intern!(view.py(), "obj"))?
            .is_exact_instance_of::<PyBytes>());
    }
    Ok(payload.is_exact_instance_of::<PyBytes>())
}

impl PagesBuffer {
    pub fn new(payload: &Bound<'_, PyAny>, pages: usize) -> PyResult<Self> {
        let py = payload.py();
        let buffer = PyUntypedBuffer::get(payload)?;
        if !buffer.is_c_contiguous() {
            return Err(bad_handle(py, "page data is not contiguous".into()));
        }
        if bytes_of(pages) != Some(buffer.len_bytes()) {
            return Err(wrong_size(py, buffer.len_bytes(), pages));
        }
        Ok(PagesBuffer {
            buffer,
            pages,
            stable: is_stable(payload)?,
        })
    }

    pub fn view(&self) -> Pages<'_> {
        // SAFETY: the buffer is contiguous and `pages` pages long, and an exported buffer stays
        // where it is until it is released, which is when `self` is dropped. It is stable if it is
        // that of a `bytes` object.
        unsafe { Pages::from_raw(self.buffer.buf_ptr() as *const u8, self.pages, self.stable) }
    }
}

/// Memory that pages are written to.
pub struct Target {
    buffer: PyUntypedBuffer,
    bytes: usize,
}

impl Target {
    /// Room for so many pages.
    pub fn new(into: &Bound<'_, PyAny>, pages: usize) -> PyResult<Self> {
        let py = into.py();
        let buffer = PyUntypedBuffer::get(into)?;
        if buffer.readonly() || !buffer.is_c_contiguous() {
            let text = "pages are to be written to a buffer that is read-only or in pieces";
            return Err(bad_handle(py, text.into()));
        }
        match bytes_of(pages) {
            Some(bytes) if bytes <= buffer.len_bytes() => Ok(Target { buffer, bytes }),
            _ => Err(wrong_size(py, buffer.len_bytes(), pages)),
        }
    }

    pub fn view(&mut self) -> &mut [u8] {
        if self.bytes == 0 {
            return &mut [];
        }
        // SAFETY: the buffer is writable, contiguous and at least so long, and stays where it is
        // while it is exported. No other Rust code refers to it. A thread of Python's that reads or
        // writes it at the same time sees or makes a mixture of bytes, as with any function that
        // fills a buffer; nothing here depends on what it holds.
        unsafe { std::slice::from_raw_parts_mut(self.buffer.buf_ptr().cast(), self.bytes) }
    }
}

/// Packed blobs from Python (`PackedBlobs`), checked for shape.
pub struct BlobColumns {
    keys: Vec<u64>,
    generations: Vec<u64>,
    lengths: Vec<u16>,
    encodings: Vec<u8>,
    checksums: Vec<u64>,
    payload: Vec<u8>,
}

impl BlobColumns {
    /// `rows`: how many there are to be; None: as many as there are keys.
    pub fn new(blobs: &Bound<'_, PyAny>, rows: Option<usize>) -> PyResult<Self> {
        let py = blobs.py();
        let columns = BlobColumns {
            keys: words(&blobs.getattr(intern!(py, "keys"))?)?,
            generations: words(&blobs.getattr(intern!(py, "generations"))?)?,
            lengths: halves(&blobs.getattr(intern!(py, "lengths"))?)?,
            encodings: bytes(&blobs.getattr(intern!(py, "encodings"))?)?,
            checksums: words(&blobs.getattr(intern!(py, "checksums"))?)?,
            payload: bytes(&blobs.getattr(intern!(py, "payload"))?)?,
        };
        columns.check(py, rows)?;
        Ok(columns)
    }

    fn check(&self, py: Python<'_>, rows: Option<usize>) -> PyResult<()> {
        let mut lengths = vec![
            rows.unwrap_or(self.keys.len()),
            self.keys.len(),
            self.generations.len(),
            self.lengths.len(),
            self.encodings.len(),
            self.checksums.len(),
        ];
        lengths.sort_unstable();
        lengths.dedup();
        if lengths.len() > 1 {
            let text = format!("the columns of a batch differ in length: {lengths:?}");
            return Err(bad_handle(py, text));
        }
        let total: usize = self.lengths.iter().map(|length| usize::from(*length)).sum();
        if total != self.payload.len() {
            let text = format!(
                "blobs of {total} bytes in a payload of {}",
                self.payload.len()
            );
            return Err(bad_handle(py, text));
        }
        Ok(())
    }

    /// The same, for the core.
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
