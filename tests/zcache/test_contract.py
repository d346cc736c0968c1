import inspect

import pytest

from tests.zcache.backends import BACKENDS
from zcache import CacheConfig, CacheContract

OPERATIONS = [
    name for name in vars(CacheContract) if not name.startswith("_") and name != "register"
]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_there_with_the_same_parameters(backend: str, name: str) -> None:
    wanted = inspect.getattr_static(CacheContract, name)
    implementation = type(BACKENDS[backend](CacheConfig()))
    found = inspect.getattr_static(implementation, name)
    if isinstance(wanted, property):
        assert hasattr(BACKENDS[backend](CacheConfig()), name)
    else:
        assert inspect.signature(found).parameters == inspect.signature(wanted).parameters


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_backend_says_its_name(backend: str) -> None:
    assert BACKENDS[backend](CacheConfig()).backend == backend
