import inspect

import pytest

import zcache.errors as errors
from zcache import (
    CacheFullError,
    ConfigError,
    NoSuchPoolError,
    PoolTableFullError,
    PutRefusedError,
    VerifyError,
    ZcacheError,
)

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_the_one_root_and_is_exported(error: type[Exception]) -> None:
    assert issubclass(error, ZcacheError)
    assert error.__name__ in errors.__all__
    assert error.__name__ in (errors.__doc__ or "") or error is ZcacheError


def test_errors_carry_their_data_and_derive_their_text() -> None:
    assert str(NoSuchPoolError(7)) == "no pool has the id 7"
    assert isinstance(NoSuchPoolError(7), LookupError)
    assert str(ConfigError("knob", 3, "1 or 2")) == "knob = 3: accepted is 1 or 2"
    assert "5" in str(PoolTableFullError(5))
    full = CacheFullError("no room", stored=4)
    assert (str(full), full.stored) == ("no room", 4)
    assert isinstance(full, PutRefusedError)
    assert str(VerifyError(["one", "two"])) == "one; two"
