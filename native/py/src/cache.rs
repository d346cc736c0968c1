//! The class `zcache._native.Cache`; what each operation does is said in `zcache/contract.py`.
//!
//! The interpreter is let go of during each call that may touch more than one page. No lock of the
//! core is ever held while Python is called, so no thread waits for the interpreter with a lock
//! that the interpreter's holder wants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList};
use zcache_core as core;
use zcache_core::page::{AwayPages, PAGE_SIZE};
use zcache_core::{Answer, Codec, PoolSpec, Wheres};

use crate::answers;
use crate::arguments::{
    self, BlobColumns, IndexColumn, PagesBuffer, Target, clamped, get_free, pool_id, pool_kind,
    words, words_or_not,
};
use crate::errors::{bad_handle, exception, refusal};
use crate::names::names;

const PERSISTENT: i64 = 1;

/// A compressed page cache with a hard limit; see `CacheContract` for every operation.
#[pyclass(module = "zcache._native", frozen, subclass)]
pub struct Cache {
    core: core::Cache,
    config: Mutex<Knobs>,
    /// The change that the core has; held while it changes, and never by who holds the interpreter.
    applied: Mutex<u64>,
    tickets: Mutex<HashMap<u64, Open>>,
}

/// The configuration, and how many changes led to it.
struct Knobs {
    config: Py<PyAny>,
    changes: u64,
}

/// A ticket that was handed out, and its pages: Python may have changed its columns.
struct Open {
    ticket: Py<PyAny>,
    pages: usize,
}

/// `config` and `tickets` are held for a moment only, and nothing can fail meanwhile.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn codec_named(name: &str) -> Option<Codec> {
    match name {
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        "none" => Some(Codec::None),
        _ => None,
    }
}

/// Raise ConfigError for a codec that new pages cannot be stored with here.
fn check_codec(codec: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = codec.py();
    let usable = PyDict::new(py);
    usable.set_item("zstd", true)?;
    py.import("zcache.config")?
        .getattr("check_codec")?
        .call((codec,), Some(&usable))?;
    Ok(())
}

/// The knobs of a `CacheConfig`, which has checked them.
fn knobs(config: &Bound<'_, PyAny>) -> PyResult<core::Config> {
    let codec: String = config.getattr("codec")?.extract()?;
    let incompressible: String = config.getattr("incompressible")?.extract()?;
    Ok(core::Config {
        pool_bytes_max: config.getattr("pool_bytes_max")?.extract()?,
        high_watermark: config.getattr("high_watermark")?.extract()?,
        accept_watermark: config.getattr("accept_watermark")?.extract()?,
        foreign_bytes_max: config.getattr("foreign_bytes_max")?.extract()?,
        codec: codec_named(&codec).ok_or_else(|| PyTypeError::new_err("an unknown codec"))?,
        refuse_incompressible: incompressible == "refuse",
        chain_frames_max: config.getattr("chain_frames_max")?.extract()?,
        pools_max: config.getattr("pools_max")?.extract()?,
    })
}

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (config=None))]
    fn new(py: Python<'_>, config: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let config = match config {
            Some(config) => config,
            None => names(py)?.cache_config.bind(py).call0()?,
        };
        Ok(Cache {
            core: core::Cache::new(knobs(&config)?),
            config: Mutex::new(Knobs {
                config: config.unbind(),
                changes: 0,
            }),
            applied: Mutex::new(0),
            tickets: Mutex::new(HashMap::new()),
        })
    }

    /// Name of the implementation.
    #[getter]
    fn backend(&self) -> &'static str {
        "native"
    }

    /// The configuration in force.
    #[getter]
    fn config(&self, py: Python<'_>) -> Py<PyAny> {
        lock(&self.config).config.clone_ref(py)
    }

    /// See ``CacheContract.reconfigure``.
    #[pyo3(signature = (**changes))]
    fn reconfigure(
        &self,
        py: Python<'_>,
        changes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let names = names(py)?;
        if let Some(changes) = changes {
            let slots = names.cache_config.bind(py).getattr("__slots__")?;
            let mut unknown: Vec<String> = Vec::new();
            for key in changes.keys() {
                if !slots.contains(&key)? {
                    unknown.push(key.extract()?);
                }
            }
            if let Some(key) = unknown.into_iter().min() {
                let value = changes.get_item(&key)?;
                return Err(exception(
                    py,
                    "ConfigError",
                    (key, value, "a knob of CacheConfig"),
                ));
            }
        }
        loop {
            let old = self.config(py);
            let new = names.replace.bind(py).call((&old,), changes)?;
            let wanted = knobs(&new)?;
            if wanted.chain_frames_max != knobs(old.bind(py))?.chain_frames_max {
                let accepted = "the value that the cache began with";
                let arguments = ("chain_frames_max", wanted.chain_frames_max, accepted);
                return Err(exception(py, "ConfigError", arguments));
            }
            let (change, replaced);
            {
                let mut knobs = lock(&self.config);
                // Another thread may have changed knobs while Python code ran above.
                if !knobs.config.is(&old) {
                    continue;
                }
                replaced = std::mem::replace(&mut knobs.config, new.clone().unbind());
                knobs.changes += 1;
                change = knobs.changes;
            }
            // Not while the lock is held: what lets go of an object may run Python code.
            drop(replaced);
            py.detach(|| {
                let mut applied = lock(&self.applied);
                // A later change has this one in it, and may have come first.
                if *applied < change {
                    self.core.reconfigure(wanted)?;
                    *applied = change;
                }
                Ok(())
            })
            .map_err(|error| refusal(py, error, None))?;
            return Ok(new.unbind());
        }
    }

    // -- pools ------------------------------------------------------------------------------------

    /// See ``CacheContract.create_pool``.
    #[pyo3(signature = (kind, *, exclusive_gets=false, shared_uuid=None, foreign=false, codec=None))]
    fn create_pool(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        exclusive_gets: bool,
        shared_uuid: Option<&Bound<'_, PyAny>>,
        foreign: bool,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u32> {
        let kind = pool_kind(kind)?;
        let uuid = match shared_uuid {
            Some(uuid) => Some(uuid.getattr(intern!(py, "bytes"))?.extract::<[u8; 16]>()?),
            None => None,
        };
        let codec = match codec {
            Some(codec) => {
                check_codec(codec)?;
                codec_named(&codec.extract::<String>()?)
            }
            None => None,
        };
        let spec = PoolSpec {
            kind,
            exclusive: exclusive_gets,
            uuid,
            foreign,
            codec,
        };
        self.core
            .create_pool(spec)
            .map_err(|error| refusal(py, error, None))
    }

    /// See ``CacheContract.pool_pages``.
    fn pool_pages(&self, py: Python<'_>, pool_id: &Bound<'_, PyAny>) -> PyResult<u64> {
        let pool = self::pool_id(pool_id)?;
        self.core
            .pool_pages(pool)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.empty_pool``.
    fn empty_pool(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        pages_max: usize,
    ) -> PyResult<u64> {
        let pool = self::pool_id(pool_id)?;
        py.detach(|| self.core.empty_pool(pool, pages_max))
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.destroy_pool``.
    fn destroy_pool(&self, py: Python<'_>, pool_id: &Bound<'_, PyAny>) -> PyResult<u64> {
        let pool = self::pool_id(pool_id)?;
        py.detach(|| self.core.destroy_pool(pool))
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    // -- pages ------------------------------------------------------------------------------------

    /// See ``CacheContract.put``.
    #[pyo3(signature = (pool_id, object_id, index, page, *, keep_old=false))]
    fn put(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        index: &Bound<'_, PyAny>,
        page: &Bound<'_, PyAny>,
        keep_old: bool,
    ) -> PyResult<()> {
        let (object, index) = arguments::index(object_id, index)?;
        let pages = PagesBuffer::new(page, 1)?;
        let pool = self::pool_id(pool_id)?;
        let indexes = core::page::Indexes::Run(index, 1);
        self.core
            .put_many(pool, &object, indexes, pages.view(), keep_old)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.put_many``.
    #[pyo3(signature = (pool_id, object_id, indexes, payload, *, keep_old=false))]
    fn put_many(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        indexes: &Bound<'_, PyAny>,
        payload: &Bound<'_, PyAny>,
        keep_old: bool,
    ) -> PyResult<()> {
        let (object, indexes) = IndexColumn::new(object_id, indexes)?;
        let pages = PagesBuffer::new(payload, indexes.len())?;
        let pool = self::pool_id(pool_id)?;
        let (column, view) = (indexes.view(), pages.view());
        let put = || self.core.put_many(pool, &object, column, view, keep_old);
        let stored = if indexes.len() > 1 {
            py.detach(put)
        } else {
            put()
        };
        stored.map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.get``.
    #[pyo3(signature = (pool_id, object_id, index, *, free=0))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        index: &Bound<'py, PyAny>,
        free: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (object, index) = arguments::index(object_id, index)?;
        let pool = self::pool_id(pool_id)?;
        let mut answer = Ok(Answer::Absent);
        let page = PyBytes::new_with(py, PAGE_SIZE, |page| {
            let page = page.try_into().expect("made a page long");
            answer = self.core.get(pool, &object, index, page, get_free(free));
            Ok(())
        })?;
        match answer.map_err(|error| refusal(py, error, Some(pool_id)))? {
            Answer::Absent => Ok(None),
            Answer::Present => Ok(Some(page.into_any())),
            Answer::Away(away) => Ok(Some(answers::away_page(py, &away)?)),
        }
    }

    /// See ``CacheContract.get_many``.
    #[pyo3(signature = (pool_id, object_id, indexes, into, *, free=0))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        indexes: &Bound<'py, PyAny>,
        into: &Bound<'py, PyAny>,
        free: i64,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyAny>)> {
        let (object, indexes) = IndexColumn::new(object_id, indexes)?;
        let mut target = Target::new(into, indexes.len())?;
        if indexes.len() == 0 {
            return Ok((
                PyBytes::new(py, b""),
                answers::away_pages(py, &AwayPages::default())?,
            ));
        }
        let pool = self::pool_id(pool_id)?;
        let mut states = vec![0; indexes.len()];
        let (column, memory, answers) = (indexes.view(), target.view(), &mut states[..]);
        let mut get = || {
            self.core
                .get_many(pool, &object, column, memory, answers, get_free(free))
        };
        let away = if indexes.len() > 1 {
            py.detach(get)
        } else {
            get()
        };
        let away = away.map_err(|error| refusal(py, error, Some(pool_id)))?;
        Ok((PyBytes::new(py, &states), answers::away_pages(py, &away)?))
    }

    /// See ``CacheContract.flush``.
    fn flush(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        index: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (object, index) = arguments::index(object_id, index)?;
        let pool = self::pool_id(pool_id)?;
        self.core
            .flush(pool, &object, index)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.flush_range``.
    #[pyo3(signature = (pool_id, object_id, start, stop, *, pages_max=None))]
    fn flush_range(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        start: &Bound<'_, PyAny>,
        stop: &Bound<'_, PyAny>,
        pages_max: Option<usize>,
    ) -> PyResult<u64> {
        let object = arguments::object_id(object_id)?;
        let pool = self::pool_id(pool_id)?;
        let (first, last) = first_and_last(start, stop)?;
        py.detach(|| {
            self.core
                .flush_range(pool, &object, first, last, pages_max.unwrap_or(usize::MAX))
        })
        .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.flush_object``.
    fn flush_object(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let object = arguments::object_id(object_id)?;
        let pool = self::pool_id(pool_id)?;
        py.detach(|| self.core.flush_object(pool, &object))
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.extents``.
    fn extents<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        start: &Bound<'py, PyAny>,
        stop: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let object = arguments::object_id(object_id)?;
        let pool = self::pool_id(pool_id)?;
        let (first, last) = first_and_last(start, stop)?;
        let runs = py
            .detach(|| self.core.stored_runs(pool, &object, first, last))
            .map_err(|error| refusal(py, error, Some(pool_id)))?;
        let extents = PyList::empty(py);
        let (mut at, stop) = (start.extract::<i128>()?, stop.extract::<i128>()?);
        for (first, pages) in runs {
            let first = i128::from(first);
            if at < first {
                extents.append((at, first - at, false))?;
            }
            extents.append((first, pages, true))?;
            at = first + i128::from(pages);
        }
        if at < stop {
            extents.append((at, stop - at, false))?;
        }
        Ok(extents)
    }

    /// See ``CacheContract.freeze``.
    #[pyo3(signature = (frozen=true))]
    fn freeze(&self, py: Python<'_>, frozen: bool) -> PyResult<()> {
        self.core
            .freeze(frozen)
            .map_err(|error| refusal(py, error, None))
    }

    // -- spilling: pages leave --------------------------------------------------------------------

    /// See ``CacheContract.begin_spill``.
    #[pyo3(signature = (bytes_max, *, kind=1, pages_max=None), text_signature = "($self, bytes_max, *, kind=1, pages_max=4096)")]
    fn begin_spill<'py>(
        &self,
        py: Python<'py>,
        bytes_max: &Bound<'py, PyAny>,
        kind: i64,
        pages_max: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let of_kind = if kind == PERSISTENT {
            core::page::PoolKind::Persistent
        } else {
            core::page::PoolKind::Ephemeral
        };
        let bytes_max = clamped(bytes_max)?;
        let pages_max = pages_max.map_or(Ok(4096), clamped)?;
        let pages_max = usize::try_from(pages_max).unwrap_or(usize::MAX);
        let begun = py.detach(|| self.core.begin_spill(bytes_max, of_kind, pages_max));
        let Some(begun) = begun.map_err(|error| refusal(py, error, None))? else {
            return Ok(None);
        };
        let ticket = match answers::ticket(py, &begun, kind) {
            Ok(ticket) => ticket,
            Err(error) => {
                // Nobody could ever end it.
                py.detach(|| self.core.cancel_spill(begun.id, false))
                    .map_err(|error| refusal(py, error, None))?;
                return Err(error);
            }
        };
        let open = Open {
            ticket: ticket.clone().unbind(),
            pages: begun.pools.len(),
        };
        lock(&self.tickets).insert(begun.id, open);
        Ok(Some(ticket))
    }

    /// See ``CacheContract.finish_spill``.
    #[pyo3(name = "finish_spill", signature = (ticket, r#where, accepted=None))]
    fn finish_spill(
        &self,
        py: Python<'_>,
        ticket: &Bound<'_, PyAny>,
        r#where: &Bound<'_, PyAny>,
        accepted: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let pages = ticket.getattr(intern!(py, "blobs"))?.len()?;
        let accepted = accepted.map(arguments::bytes).transpose()?;
        if let Some(accepted) = accepted.as_ref().filter(|accepted| accepted.len() != pages) {
            let text = format!("{} answers for a ticket of {pages} pages", accepted.len());
            return Err(exception(py, "TicketError", (text,)));
        }
        let (one, column);
        let wheres = if r#where.is_instance_of::<PyInt>() {
            one = checked_where(r#where)?;
            Wheres::One(one)
        } else {
            column = where_column(r#where, pages, accepted.as_deref())?;
            Wheres::Column(&column)
        };
        let id = self.close(ticket, Some(pages))?;
        py.detach(|| self.core.finish_spill(id, wheres, accepted.as_deref()))
            .map_err(|error| refusal(py, error, None))
    }

    /// See ``CacheContract.cancel_spill``.
    #[pyo3(signature = (ticket, *, warm=false))]
    fn cancel_spill(&self, py: Python<'_>, ticket: &Bound<'_, PyAny>, warm: bool) -> PyResult<()> {
        let id = self.close(ticket, None)?;
        py.detach(|| self.core.cancel_spill(id, warm))
            .map_err(|error| refusal(py, error, None))
    }

    /// See ``CacheContract.drain_displaced``.
    #[pyo3(signature = (pages_max=65536))]
    fn drain_displaced<'py>(
        &self,
        py: Python<'py>,
        pages_max: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pages = self
            .core
            .drain_displaced(pages_max)
            .map_err(|e| refusal(py, e, None))?;
        answers::away_pages(py, &pages)
    }

    // -- fetching: pages come back ----------------------------------------------------------------

    /// See ``CacheContract.peek_away``.
    fn peek_away<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        indexes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (object, indexes) = IndexColumn::new(object_id, indexes)?;
        let pool = self::pool_id(pool_id)?;
        let pages = py
            .detach(|| self.core.peek_away(pool, &object, indexes.view()))
            .map_err(|error| refusal(py, error, Some(pool_id)))?;
        answers::away_pages(py, &pages)
    }

    /// See ``CacheContract.restore_many``.
    #[pyo3(signature = (pool_id, object_id, indexes, blobs, into, *, install, free=0))]
    #[allow(clippy::too_many_arguments)]
    fn restore_many<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        indexes: &Bound<'py, PyAny>,
        blobs: &Bound<'py, PyAny>,
        into: Option<&Bound<'py, PyAny>>,
        install: bool,
        free: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (object, indexes) = IndexColumn::new(object_id, indexes)?;
        let mut target = into
            .map(|into| Target::new(into, indexes.len()))
            .transpose()?;
        let blobs = BlobColumns::new(blobs, Some(indexes.len()))?;
        let pool = self::pool_id(pool_id)?;
        let memory = target.as_mut().map(Target::view);
        let (column, blobs, free) = (indexes.view(), blobs.view(), get_free(free));
        let statuses = py
            .detach(|| {
                self.core
                    .restore_many(pool, &object, column, &blobs, memory, install, free)
            })
            .map_err(|error| refusal(py, error, Some(pool_id)))?;
        let statuses: Vec<u8> = statuses.into_iter().map(|status| status as u8).collect();
        Ok(PyBytes::new(py, &statuses))
    }

    /// See ``CacheContract.forget_away``.
    fn forget_away(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        index: &Bound<'_, PyAny>,
        generation: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (object, index) = arguments::index(object_id, index)?;
        let pool = self::pool_id(pool_id)?;
        let Ok(generation) = generation.extract::<u64>() else {
            let pages = self
                .core
                .peek_away(pool, &object, core::page::Indexes::List(&[]));
            return pages
                .map(|_| false)
                .map_err(|error| refusal(py, error, Some(pool_id)));
        };
        self.core
            .forget_away(pool, &object, index, generation)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.forget_where``.
    fn forget_where(
        &self,
        py: Python<'_>,
        place: &Bound<'_, PyAny>,
        kind: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let (place, kind) = (checked_place(place)?, pool_kind(kind)?);
        py.detach(|| self.core.forget_where(place, kind))
            .map_err(|e| refusal(py, e, None))
    }

    /// See ``CacheContract.scan_away``.
    #[pyo3(signature = (place, *, cursor=0, pages_max=4096))]
    fn scan_away<'py>(
        &self,
        py: Python<'py>,
        place: &Bound<'py, PyAny>,
        cursor: u64,
        pages_max: usize,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyAny>, u64)> {
        let place = checked_place(place)?;
        let (handles, pages, next) = py
            .detach(|| self.core.scan_away(place, cursor, pages_max))
            .map_err(|error| refusal(py, error, None))?;
        let list = PyList::empty(py);
        for (pool, object, index) in &handles {
            list.append((pool, answers::object_id(py, object)?, index))?;
        }
        Ok((list, answers::away_pages(py, &pages)?, next))
    }

    /// See ``CacheContract.move_away``.
    fn move_away<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        generations: &Bound<'py, PyAny>,
        wheres: &Bound<'py, PyAny>,
        to: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let columns = [keys, generations, wheres, to];
        let lengths = columns.map(|column| column.len());
        let rows: Vec<usize> = lengths.into_iter().collect::<PyResult<_>>()?;
        if rows.iter().any(|row| *row != rows[0]) {
            let text = format!("the columns of pages to move differ in length: {rows:?}");
            return Err(bad_handle(py, text));
        }
        let mut parsed = Vec::with_capacity(4);
        for column in columns {
            let words = words_or_not(column, None)?;
            // A sequence may say one length and have another.
            if words.len() != rows[0] {
                let text = format!("{} words in a column of {}", words.len(), rows[0]);
                return Err(bad_handle(py, text));
            }
            parsed.push(words);
        }
        let numbers: Vec<Vec<u64>> = (0..4)
            .map(|column| {
                // A row with a number that is no word names nothing: entry 0 is never a page.
                let whole = |row: usize| parsed.iter().all(|column| column[row].is_some());
                let cell = |row| {
                    if whole(row) {
                        parsed[column][row].unwrap_or(0)
                    } else {
                        0
                    }
                };
                (0..rows[0]).map(cell).collect()
            })
            .collect();
        let changed = py
            .detach(|| {
                self.core
                    .move_away(&numbers[0], &numbers[1], &numbers[2], &numbers[3])
            })
            .map_err(|error| refusal(py, error, None))?;
        Ok(PyBytes::new(py, &changed))
    }

    // -- lending: pages of other nodes ------------------------------------------------------------

    /// See ``CacheContract.adopt``.
    fn adopt<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        blobs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let object = arguments::object_id(object_id)?;
        let blobs = BlobColumns::new(blobs, None)?;
        let pool = self::pool_id(pool_id)?;
        let statuses = py
            .detach(|| self.core.adopt(pool, &object, &blobs.view()))
            .map_err(|error| refusal(py, error, Some(pool_id)))?;
        let statuses: Vec<u8> = statuses.into_iter().map(|status| status as u8).collect();
        Ok(PyBytes::new(py, &statuses))
    }

    /// See ``CacheContract.read_adopted``.
    fn read_adopted<'py>(
        &self,
        py: Python<'py>,
        pool_id: &Bound<'py, PyAny>,
        object_id: &Bound<'py, PyAny>,
        keys: &Bound<'py, PyAny>,
        generations: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyAny>)> {
        let object = arguments::object_id(object_id)?;
        let (rows, keys, generations) = adopted_names(keys, generations, None)?;
        let pool = self::pool_id(pool_id)?;
        let (found, blobs) = py
            .detach(|| self.core.read_adopted(pool, &object, &keys, &generations))
            .map_err(|error| refusal(py, error, Some(pool_id)))?;
        let mut found = found.into_iter();
        let spread: Vec<u8> = rows
            .iter()
            .map(|good| if *good { found.next().unwrap_or(0) } else { 0 })
            .collect();
        Ok((
            PyBytes::new(py, &spread),
            answers::packed_blobs(py, &blobs)?,
        ))
    }

    /// See ``CacheContract.flush_adopted``.
    fn flush_adopted(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        keys: &Bound<'_, PyAny>,
        generations: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let object = arguments::object_id(object_id)?;
        let (_, keys, generations) = adopted_names(keys, generations, Some(u64::MAX))?;
        let pool = self::pool_id(pool_id)?;
        py.detach(|| self.core.flush_adopted(pool, &object, &keys, &generations))
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.foreign_room_bytes``.
    fn foreign_room_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        self.core
            .foreign_room_bytes()
            .map_err(|error| refusal(py, error, None))
    }

    /// See ``CacheContract.foreign_bytes``.
    fn foreign_bytes(&self, py: Python<'_>, pool_id: &Bound<'_, PyAny>) -> PyResult<u64> {
        let pool = self::pool_id(pool_id)?;
        self.core
            .foreign_bytes(pool)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }

    /// See ``CacheContract.drop_foreign_ephemeral``.
    fn drop_foreign_ephemeral(
        &self,
        py: Python<'_>,
        bytes_max: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let bytes_max = clamped(bytes_max)?;
        py.detach(|| self.core.drop_foreign_ephemeral(bytes_max))
            .map_err(|error| refusal(py, error, None))
    }

    // -- memory -----------------------------------------------------------------------------------

    /// See ``CacheContract.excess_bytes``.
    fn excess_bytes(&self, py: Python<'_>, watermark: f64) -> PyResult<u64> {
        self.core
            .excess_bytes(watermark)
            .map_err(|error| refusal(py, error, None))
    }

    /// See ``CacheContract.compact``.
    #[pyo3(signature = (frames_max=None))]
    fn compact(&self, py: Python<'_>, frames_max: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let frames_max = frames_max.map(clamped).transpose()?;
        py.detach(|| self.core.compact(frames_max))
            .map_err(|error| refusal(py, error, None))
    }

    // -- figures ----------------------------------------------------------------------------------

    /// See ``CacheContract.stats``.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self
            .core
            .stats()
            .map_err(|error| refusal(py, error, None))?;
        answers::stats(py, &stats)
    }

    /// See ``CacheContract.class_stats``.
    fn class_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = self
            .core
            .class_stats()
            .map_err(|error| refusal(py, error, None))?;
        answers::class_stats(py, &rows)
    }

    /// See ``CacheContract.verify``.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.verify())
            .map_err(|error| refusal(py, error, None))
    }

    /// Flip a bit of a stored blob, for tests of what notices it; False if there is none here.
    fn _damage(
        &self,
        py: Python<'_>,
        pool_id: &Bound<'_, PyAny>,
        object_id: &Bound<'_, PyAny>,
        index: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (object, index) = arguments::index(object_id, index)?;
        let pool = self::pool_id(pool_id)?;
        self.core
            .damage(pool, &object, index)
            .map_err(|error| refusal(py, error, Some(pool_id)))
    }
}

impl Cache {
    /// The number of an open ticket, which is not open any more. Raises TicketError, also for one
    /// that has not (or no more) so many pages.
    fn close(&self, ticket: &Bound<'_, PyAny>, pages: Option<usize>) -> PyResult<u64> {
        let py = ticket.py();
        let id = ticket.getattr(intern!(py, "ticket_id"))?;
        let number = id.extract::<u64>().unwrap_or(0);
        let mut tickets = lock(&self.tickets);
        let open = tickets.get(&number).filter(|open| open.ticket.is(ticket));
        if let Some(there) = open.map(|open| open.pages) {
            if let Some(pages) = pages.filter(|pages| *pages != there) {
                drop(tickets);
                let text = format!("ticket {number} began with {there} pages and has {pages} now");
                return Err(exception(py, "TicketError", (text,)));
            }
            // Dropped after the lock: its last reference may be this one.
            let closed = tickets.remove(&number);
            drop(tickets);
            drop(closed);
            return Ok(number);
        }
        drop(tickets);
        let text = format!("ticket {} is not open in this cache", id.str()?);
        Err(exception(py, "TicketError", (text,)))
    }
}

/// start..stop as its first and last index; first > last if there is none.
fn first_and_last(start: &Bound<'_, PyAny>, stop: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
    if stop.le(0)? || start.ge(stop)? {
        return Ok((1, 0));
    }
    let first = clamped(start)?;
    if first == u64::MAX && start.gt(u64::MAX)? {
        return Ok((1, 0));
    }
    let last = clamped(&stop.sub(1)?)?;
    Ok((first, last))
}

fn checked_place(place: &Bound<'_, PyAny>) -> PyResult<u32> {
    let py = place.py();
    match place.extract::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        other => {
            names(py)?.check_place.bind(py).call1((place,))?;
            other
        }
    }
}

fn checked_where(whereabouts: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = whereabouts.py();
    match whereabouts.extract::<u64>() {
        Ok(word) if core::cache::is_where(word) => Ok(word),
        other => {
            names(py)?.check_where.bind(py).call1((whereabouts,))?;
            other
        }
    }
}

/// A word for each page; those of pages that were not accepted may be anything.
fn where_column(
    column: &Bound<'_, PyAny>,
    pages: usize,
    accepted: Option<&[u8]>,
) -> PyResult<Vec<u64>> {
    let py = column.py();
    let rows = column.len()?;
    if rows != pages {
        let text = format!("{rows} places for a ticket of {pages} pages");
        return Err(exception(py, "TicketError", (text,)));
    }
    let wanted = |row: usize| accepted.is_none_or(|accepted| accepted[row] != 0);
    if let Ok(column) = words(column) {
        if column.len() == rows
            && (0..rows).all(|row| !wanted(row) || core::cache::is_where(column[row]))
        {
            return Ok(column);
        }
    }
    let mut found = Vec::with_capacity(rows);
    for (row, word) in column.try_iter()?.enumerate().take(rows) {
        found.push(if wanted(row) {
            checked_where(&word?)?
        } else {
            0
        });
    }
    // A sequence may say one length and have another.
    if found.len() != pages {
        let text = format!("{} places for a ticket of {pages} pages", found.len());
        return Err(exception(py, "TicketError", (text,)));
    }
    Ok(found)
}

/// Keys and generations of foreign pages, without the rows that can name none; which rows are left.
fn adopted_names(
    keys: &Bound<'_, PyAny>,
    generations: &Bound<'_, PyAny>,
    large: Option<u64>,
) -> PyResult<(Vec<bool>, Vec<u64>, Vec<u64>)> {
    let (keys_there, generations_there) = (keys.len()?, generations.len()?);
    if keys_there != generations_there {
        let text = format!("{keys_there} keys with {generations_there} generations");
        return Err(bad_handle(keys.py(), text));
    }
    let keys = words_or_not(keys, None)?;
    let generations = words_or_not(generations, large)?;
    let both = keys.iter().zip(&generations);
    let rows = both
        .clone()
        .map(|(key, generation)| key.is_some() && generation.is_some());
    let (keys, generations) = both
        .filter_map(|(key, generation)| key.zip(*generation))
        .unzip();
    Ok((rows.collect(), keys, generations))
}
