"""Every implementation has the contract's operations, with the same parameters."""

import inspect

import pytest

from tests.zcache.backends import BACKENDS
from zcache import CacheConfig, CacheContract

OPERATIONS = [
    name for name in vars(CacheContract) if not name.startswith("_") and name != "register"
]


def parameters(operation: object) -> list[tuple[str, object, object]]:
    """Name, kind and default value of each but ``self``.

    Built-in functions have no annotations, plain numbers for members of enumerations, and a
    ``self`` of another kind.
    """
    assert callable(operation)
    _, *others = inspect.signature(operation).parameters.values()
    return [(each.name, each.kind, each.default) for each in others]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_there_with_the_same_parameters(backend: str, name: str) -> None:
    wanted = inspect.getattr_static(CacheContract, name)
    found = inspect.getattr_static(BACKENDS[backend], name)
    if isinstance(wanted, property):
        assert hasattr(BACKENDS[backend](CacheConfig()), name)
    else:
        assert parameters(found) == parameters(wanted)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_python_cache_has_the_same_types_too(name: str) -> None:
    wanted = inspect.getattr_static(CacheContract, name)
    found = inspect.getattr_static(BACKENDS["python"], name)
    if isinstance(wanted, property):
        assert isinstance(found, property)
        wanted, found = wanted.fget, found.fget
    assert inspect.signature(found) == inspect.signature(wanted)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_backend_says_its_name(backend: str) -> None:
    assert BACKENDS[backend](CacheConfig()).backend == backend


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_cache_without_a_configuration_has_the_defaults(backend: str) -> None:
    assert BACKENDS[backend]().config == BACKENDS[backend](None).config == CacheConfig()
