//! Refusals of the core as exceptions of `zcache/errors.py`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};
use zcache_core::Error;

use crate::names::names;

/// An exception of `zcache.errors` by name.
pub fn exception<'py>(
    py: Python<'py>,
    name: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyErr {
    let made = names(py)
        .and_then(|names| names.errors.bind(py).getattr(name))
        .and_then(|class| class.call1(arguments));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// `BadHandleError` with its text.
pub fn bad_handle(py: Python<'_>, text: String) -> PyErr {
    exception(py, "BadHandleError", (text,))
}

/// A refusal of the core; `pool`: the pool id of the call.
pub fn refusal(py: Python<'_>, error: Error, pool: Option<&Bound<'_, PyAny>>) -> PyErr {
    let text = error.to_string();
    match error {
        Error::NoSuchPool => match pool {
            Some(pool) => exception(py, "NoSuchPoolError", (pool,)),
            None => exception(py, "NoSuchPoolError", (-1,)),
        },
        Error::PoolTableFull(pools_max) => exception(py, "PoolTableFullError", (pools_max,)),
        Error::Full { stored, .. } => exception(py, "CacheFullError", (text, stored)),
        Error::Poor { stored } => exception(py, "PoorCompressionError", (text, stored)),
        Error::Corrupt(_) => exception(py, "CorruptPageError", (text,)),
        Error::BadHandle(_) => exception(py, "BadHandleError", (text,)),
        Error::Ticket(_) => exception(py, "TicketError", (text,)),
        Error::Verify(findings) => match PyTuple::new(py, [findings]) {
            Ok(arguments) => exception(py, "VerifyError", arguments),
            Err(error) => error,
        },
        Error::Broken => PyRuntimeError::new_err(text),
    }
}
