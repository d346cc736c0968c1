//! What is used of Python: classes and functions of the package `zcache`, looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Python objects that the bindings call.
pub struct Names {
    pub array: Py<PyAny>,
    pub away_page: Py<PyAny>,
    pub away_pages: Py<PyAny>,
    pub packed_blobs: Py<PyAny>,
    pub spill_ticket: Py<PyAny>,
    pub encoding: Vec<Py<PyAny>>,
    pub pool_kind: Py<PyAny>,
    pub check_handle: Py<PyAny>,
    pub check_place: Py<PyAny>,
    pub check_where: Py<PyAny>,
    pub cache_config: Py<PyAny>,
    pub replace: Py<PyAny>,
    pub cache_stats: Py<PyAny>,
    pub errors: Py<PyModule>,
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

/// Look them up, at first use: the package imports this module while it is imported itself.
pub fn names(py: Python<'_>) -> PyResult<&'static Names> {
    NAMES.get_or_try_init(py, || {
        let page = py.import("zcache.page")?;
        let config = py.import("zcache.config")?;
        let encoding = page.getattr("Encoding")?;
        Ok(Names {
            array: py.import("array")?.getattr("array")?.unbind(),
            away_page: page.getattr("AwayPage")?.unbind(),
            away_pages: page.getattr("AwayPages")?.unbind(),
            packed_blobs: page.getattr("PackedBlobs")?.unbind(),
            spill_ticket: page.getattr("SpillTicket")?.unbind(),
            encoding: (0..4)
                .map(|number| Ok(encoding.call1((number,))?.unbind()))
                .collect::<PyResult<_>>()?,
            pool_kind: page.getattr("PoolKind")?.unbind(),
            check_handle: page.getattr("check_handle")?.unbind(),
            check_place: page.getattr("check_place")?.unbind(),
            check_where: page.getattr("check_where")?.unbind(),
            cache_config: config.getattr("CacheConfig")?.unbind(),
            replace: py.import("dataclasses")?.getattr("replace")?.unbind(),
            cache_stats: py.import("zcache.stats")?.getattr("CacheStats")?.unbind(),
            errors: py.import("zcache.errors")?.unbind(),
        })
    })
}
