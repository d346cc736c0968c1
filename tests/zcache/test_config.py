import dataclasses

import pytest

from zcache import PAGE_SIZE, CacheConfig, ConfigError


def test_defaults_are_accepted_and_cannot_be_changed_in_place() -> None:
    config = CacheConfig()
    assert config.low_watermark <= config.high_watermark
    assert config.foreign_bytes_max == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.codec = "none"  # type: ignore[misc]


def test_the_limit_is_rounded_down_to_whole_frames() -> None:
    assert CacheConfig(pool_bytes_max=3 * PAGE_SIZE + 4095).frames_max == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pool_bytes_max", 4095),
        ("pool_bytes_max", 2**44 + 1),
        ("pool_bytes_max", 1e6),
        ("pool_bytes_max", True),
        ("high_watermark", 0.0),
        ("high_watermark", 1.01),
        ("high_watermark", "0.9"),
        ("low_watermark", 0.0),
        ("low_watermark", 0.91),
        ("accept_watermark", 0.0),
        ("accept_watermark", 1.1),
        ("foreign_bytes_max", -1),
        ("foreign_bytes_max", 2**44),
        ("codec", "lzo"),
        ("codec", None),
        ("incompressible", "drop"),
        ("chain_frames_max", 3),
        ("chain_frames_max", 17),
        ("pools_max", 0),
        ("pools_max", 2**31 + 1),
    ],
)
def test_values_out_of_range_are_named(key: str, value: object) -> None:
    """Behaviour 33: the error says which knob, what was given and what is accepted."""
    with pytest.raises(ConfigError) as caught:
        CacheConfig(**{key: value})
    assert (caught.value.key, caught.value.value) == (key, value)
    assert caught.value.accepted in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pool_bytes_max", PAGE_SIZE),
        ("pool_bytes_max", 2**44),
        ("high_watermark", 1),
        ("low_watermark", 0.9),
        ("accept_watermark", 1),
        ("chain_frames_max", 4),
        ("chain_frames_max", 16),
        ("pools_max", 1),
        ("codec", "lz4"),
        ("codec", "zstd"),
        ("codec", "none"),
    ],
)
def test_the_ends_of_ranges_and_every_choice_are_accepted(key: str, value: object) -> None:
    assert getattr(CacheConfig(**{key: value}), key) == value
