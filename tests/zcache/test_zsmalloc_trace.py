from tests.zcache.zsmalloc_trace import TRACE, lines


def test_the_committed_trace_is_what_the_allocator_does() -> None:
    """The native allocator's tests read the file; see native/core/src/zsmalloc/trace.rs."""
    assert TRACE.read_text().splitlines() == list(lines())
