"""What the peer layer counts. Each field is raised in one module only, named in its group's
comment.

Covers: names and meanings. Does not cover: the cache's own figures (``zcache.CacheStats``), how
they are exported.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClusterCounters"]


@dataclass(slots=True)
class ClusterCounters:
    """Counters of one node since its start; they only rise."""

    # spiller
    pages_spilled_short: int = 0
    """Pages that left with fewer copies than they should have; they are made good later."""

    # deliveries
    spills: int = 0
    """Batches of which a lender took at least one page."""
    spill_pages: int = 0
    spill_bytes: int = 0
    """Pages, and bytes of blobs, that lenders took."""
    spill_pages_refused: int = 0
    """Pages that came back in an answer: no room or a bad checksum there."""
    spills_timed_out: int = 0
    spills_unreachable: int = 0
    spills_unknown_lease: int = 0
    spills_bad_answer: int = 0
    """Refused as breaking the protocol, or answered in a way that breaks it."""
    spills_overtaken: int = 0
    """Accepted by a lender that was gone by the time the answer arrived; the pages stayed here."""

    # fetcher
    fetches: int = 0
    """Fetch calls sent."""
    pages_fetched: int = 0
    fetch_bytes: int = 0
    """Pages received, wanted or ahead, and bytes of their blobs."""
    fetches_timed_out: int = 0
    fetches_unreachable: int = 0
    fetches_unknown_lease: int = 0
    fetches_bad_answer: int = 0
    fetches_joined: int = 0
    """Pages that were already on their way for another get."""
    remote_hits: int = 0
    """Pages of gets that were away and were served: fetched, joined or read ahead."""
    readahead_hits: int = 0
    readahead_wasted: int = 0
    """Pages fetched ahead and dropped unread."""
    fetches_hedged: int = 0
    """Reads of which a further copy was asked for because the first holder took long."""
    copies_struck: int = 0
    """Copies found missing or damaged at their lender while another one was good."""
    pages_corrupt: int = 0
    """Fetched blobs that failed their check; they were not served."""
    pages_lost: int = 0
    """Persistent pages of gets that ended with PageLostError, by any cause."""
    ephemeral_lost: int = 0
    """Ephemeral pages whose copy could not be had, or went with its lender: misses."""

    # relocator
    pages_evacuated: int = 0
    """Pages taken away from lenders that drain or want room."""
    pages_rebuilt: int = 0
    """Pages of which a lost copy was made again."""
    pages_repatriated: int = 0
    """Pages brought home because there was room, without being asked for."""

    # cluster store
    local_hits: int = 0
    puts_waited: int = 0
    """Batches of puts (of up to 256 pages) that found no room at their first try; those then
    waited, or were refused at once. One that only stood in line behind others does not count."""
    puts_refused: int = 0
    """Puts that ended with StoreFullError."""

    # flusher
    flushes_queued: int = 0
    """Pages whose copy at a lender is no longer wanted."""
    flushes_sent: int = 0
    """Pages whose flush a lender acknowledged."""
    flushes_dropped: int = 0
    """Pages whose flush became pointless: the lease is gone."""
    flush_failures: int = 0
    """Flush calls that failed and were repeated."""

    # membership
    lenders_joined: int = 0
    lenders_gone: int = 0
    peers_died: int = 0
    heartbeats_sent: int = 0

    # foreign pages (this node as a lender)
    leases_opened: int = 0
    leases_expired: int = 0
    leases_superseded: int = 0
    leases_left: int = 0
    """Leases that their owners ended, as nodes that stop in order do."""
    hellos_refused: int = 0
    messages_refused: int = 0
    """Messages of owners that broke the protocol, late spills among them."""
