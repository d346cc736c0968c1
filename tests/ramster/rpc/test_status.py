from __future__ import annotations

import grpc
import pytest

from ramster.errors import (
    BadMessageError,
    PeerError,
    PeerMethodMissingError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.rpc.status import error_of_failure, error_of_status, failure_of
from ramster.wire.v1 import peer_pb2


@pytest.mark.parametrize("kind", [PeerRefusedError, UnknownLeaseError, BadMessageError])
def test_a_handlers_refusal_arrives_as_what_it_is(kind: type[PeerError]) -> None:
    data = failure_of(kind("lease 7 is not known")).SerializeToString()
    error = error_of_failure(peer_pb2.Failure.FromString(data), "peer:1")
    assert type(error) is kind
    assert str(error) == "peer:1: lease 7 is not known"


def test_a_reason_is_bounded_and_printable_whoever_wrote_it() -> None:
    wild = "\x1b[31mred\n\ud800" + "x" * 10_000
    sent = failure_of(PeerRefusedError(wild))
    assert len(sent.reason) == 500
    assert sent.reason.isprintable()
    rogue = peer_pb2.Failure(kind=1, reason="\x1b]0;title\x07" + "y" * 10_000)
    text = str(error_of_failure(rogue, "peer:1"))
    assert text.isprintable()
    assert len(text) < 520


@pytest.mark.parametrize("kind", [0, 4, 99])
def test_a_failure_of_an_unknown_kind_leaves_the_outcome_unknown(kind: int) -> None:
    failure = peer_pb2.Failure.FromString(bytes([0x08, kind]))
    assert type(error_of_failure(failure, "peer:1")) is PeerUnreachableError


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_is_a_peer_error(code: grpc.StatusCode) -> None:
    error = error_of_status(code, "details", "peer:1")
    assert isinstance(error, PeerError)
    assert str(error) == f"peer:1: details ({code.name})"


def test_statuses_are_told_apart() -> None:
    kinds = {
        grpc.StatusCode.UNAVAILABLE: PeerUnreachableError,
        grpc.StatusCode.DEADLINE_EXCEEDED: PeerTimeoutError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: BadMessageError,
        grpc.StatusCode.UNIMPLEMENTED: PeerMethodMissingError,
    }
    for code, kind in kinds.items():
        assert type(error_of_status(code, None, "peer:1")) is kind
    assert type(error_of_status(None, None, "peer:1")) is PeerUnreachableError
