"""Refusals and failures: exceptions <-> ``Failure`` messages, and gRPC statuses -> exceptions.

Covers: every way in which a call to a peer ends without an answer. A handler's exceptions travel as
what they are; whatever else befalls a call leaves its outcome unknown and is "unreachable" or
"timeout".
"""

from __future__ import annotations

import grpc

from ramster.errors import (
    BadMessageError,
    PeerError,
    PeerMethodMissingError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.wire.v1 import peer_pb2

__all__ = ["HANDLER_ERRORS", "error_of_failure", "error_of_status", "failure_of"]

REASON_CHARACTERS_MAX = 500

HANDLER_ERRORS = (PeerRefusedError, UnknownLeaseError, BadMessageError)
"""What a handler may raise; anything else is a bug of this node."""

_KINDS: dict[type[PeerError], peer_pb2.Failure.Kind] = {
    PeerRefusedError: peer_pb2.Failure.KIND_REFUSED,
    UnknownLeaseError: peer_pb2.Failure.KIND_UNKNOWN_LEASE,
    BadMessageError: peer_pb2.Failure.KIND_BAD_MESSAGE,
}
_ERRORS = {kind: error for error, kind in _KINDS.items()}

_STATUS_ERRORS: dict[grpc.StatusCode, type[PeerError]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: PeerTimeoutError,
    # Statuses of our own server: a message that does not parse; of gRPC: one over the size limit.
    grpc.StatusCode.INVALID_ARGUMENT: BadMessageError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: BadMessageError,
    # Something answers that is no node of this protocol, or guards one.
    grpc.StatusCode.UNIMPLEMENTED: PeerMethodMissingError,
    grpc.StatusCode.UNAUTHENTICATED: PeerRefusedError,
    grpc.StatusCode.PERMISSION_DENIED: PeerRefusedError,
    grpc.StatusCode.FAILED_PRECONDITION: PeerRefusedError,
}


def failure_of(error: Exception) -> peer_pb2.Failure:
    """What the caller is told of an exception; the text of an unexpected one stays here."""
    for kind, number in _KINDS.items():
        if isinstance(error, kind):
            return peer_pb2.Failure(kind=number, reason=_printable(str(error)))
    return peer_pb2.Failure(
        kind=peer_pb2.Failure.KIND_INTERNAL, reason=f"failed inside with {type(error).__name__}"
    )


def error_of_failure(failure: peer_pb2.Failure, address: str) -> PeerError:
    """The exception that a peer's refusal is to its caller.

    A failure inside the peer, or of a kind that is not known here, leaves the outcome unknown and
    is therefore a PeerUnreachableError.
    """
    kind = _ERRORS.get(failure.kind, PeerUnreachableError)
    return kind(f"{address}: {_printable(failure.reason)}")


def error_of_status(code: grpc.StatusCode | None, details: str | None, address: str) -> PeerError:
    """The exception for a call that ended with a status instead of a reply."""
    kind = _STATUS_ERRORS.get(code, PeerUnreachableError) if code else PeerUnreachableError
    name = code.name if code else "no status"
    return kind(f"{address}: {_printable(details or 'the stream has ended')} ({name})")


def _printable(text: str) -> str:
    """A peer's text, fit to be logged."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:REASON_CHARACTERS_MAX])
    # A lone surrogate cannot travel; isprintable() is false for it, so none is left here.
    return shown or "no reason given"
