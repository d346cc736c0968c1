"""Metrics of the peer layer.

Covers: names, words and places of the figures, as they are seen by one node. Does not cover: the
cache (``node_rows.py``), durations of messages (``duration_rows.py``).
"""

from __future__ import annotations

from ramster.figures import Figures
from ramster.metrics.row import MetricRow, Samples, by, one

__all__ = ["CLUSTER_ROWS", "PEER_ROWS", "PEER_STATES", "RELOCATIONS"]

RELOCATIONS = ("evacuate", "rebuild", "repatriate")
PEER_STATES = ("connecting", "alive", "suspect", "dead", "refused", "self")


def _of_peers(name: str, text: str, key: str) -> MetricRow:
    """A metric of every configured peer; absent where the figure is None."""

    def samples(figures: Figures) -> Samples:
        return (
            ((peer["address"], peer["node"] or ""), float(peer[key]))
            for peer in figures["peers"]
            if peer[key] is not None
        )

    return MetricRow(name, text, ("address", "peer"), samples)


def _of_owners(name: str, text: str, key: str) -> MetricRow:
    """A metric of every node whose pages are held here. One that was started again is there
    twice until its old lease has ended; then the sum, or the longer silence."""

    def samples(figures: Figures) -> Samples:
        found: dict[str, float] = {}
        for owner in figures["owners"]:
            before = found.get(owner["owner"], 0.0)
            value = float(owner[key])
            found[owner["owner"]] = before + value if key == "pages" else max(before, value)
        return (((owner,), value) for owner, value in found.items())

    return MetricRow(name, text, ("owner",), samples)


def _states(figures: Figures) -> Samples:
    return (
        ((peer["address"], peer["node"] or "", state), float(peer["state"] == state))
        for peer in figures["peers"]
        for state in PEER_STATES
    )


def _relocating(figures: Figures) -> Samples:
    if figures["cluster"] is None:
        return ()
    now = figures["cluster"]["relocating"]
    return (((why,), float(why == now)) for why in RELOCATIONS)


CLUSTER_ROWS: tuple[MetricRow, ...] = (
    by(
        "ramster_hits_total",
        "Pages served, by where they were.",
        "where",
        "cluster",
        {"local": "local_hits", "remote": "remote_hits"},
    ),
    one(
        "ramster_spills_total",
        "Spill messages of which a peer took at least one page.",
        "cluster",
        "spills",
    ),
    by(
        "ramster_spilled_copies_total",
        "Copies of pages offered to peers, by their answer.",
        "outcome",
        "cluster",
        {"taken": "spill_pages", "refused": "spill_pages_refused"},
    ),
    one(
        "ramster_spilled_bytes_total", "Compressed bytes taken by peers.", "cluster", "spill_bytes"
    ),
    by(
        "ramster_spill_failures_total",
        "Spill messages that failed, by cause.",
        "cause",
        "cluster",
        {
            "timeout": "spills_timed_out",
            "unreachable": "spills_unreachable",
            "unknown_lease": "spills_unknown_lease",
            "bad_answer": "spills_bad_answer",
            "overtaken": "spills_overtaken",
        },
    ),
    one(
        "ramster_spilled_short_pages_total",
        "Pages that left with fewer copies than they should have.",
        "cluster",
        "pages_spilled_short",
    ),
    one("ramster_spill_in_flight_bytes", "Spills under way.", "cluster", "spill_bytes_in_flight"),
    one("ramster_fetches_total", "Fetch messages sent.", "cluster", "fetches"),
    one(
        "ramster_fetched_pages_total",
        "Pages received, wanted or ahead.",
        "cluster",
        "pages_fetched",
    ),
    one(
        "ramster_fetched_bytes_total",
        "Compressed bytes received from peers.",
        "cluster",
        "fetch_bytes",
    ),
    by(
        "ramster_fetch_failures_total",
        "Fetch messages that failed, by cause.",
        "cause",
        "cluster",
        {
            "timeout": "fetches_timed_out",
            "unreachable": "fetches_unreachable",
            "unknown_lease": "fetches_unknown_lease",
            "bad_answer": "fetches_bad_answer",
        },
    ),
    one(
        "ramster_hedged_fetches_total",
        "Reads that asked a further copy because the first holder took long.",
        "cluster",
        "fetches_hedged",
    ),
    one(
        "ramster_joined_fetches_total",
        "Pages that were already on their way for another read.",
        "cluster",
        "fetches_joined",
    ),
    one(
        "ramster_corrupt_copies_total",
        "Fetched copies that failed their check and were not served.",
        "cluster",
        "pages_corrupt",
    ),
    one(
        "ramster_struck_copies_total",
        "Copies found missing or damaged while another one was good.",
        "cluster",
        "copies_struck",
    ),
    by(
        "ramster_readahead_pages_total",
        "Pages fetched ahead, by what became of them.",
        "outcome",
        "cluster",
        {"hit": "readahead_hits", "wasted": "readahead_wasted"},
    ),
    one(
        "ramster_readahead_bytes",
        "Pages fetched ahead and not read yet, compressed.",
        "cluster",
        "readahead_bytes",
    ),
    by(
        "ramster_lost_pages_total",
        "Pages of reads that could not be had in time, whatever the cause: an error (persistent) "
        "or a miss (ephemeral, those that went with a lender included).",
        "kind",
        "cluster",
        {"persistent": "pages_lost", "ephemeral": "ephemeral_lost"},
    ),
    by(
        "ramster_relocated_pages_total",
        "Pages moved while away: from lenders that drain or want room, copies made again, home.",
        "reason",
        "cluster",
        {
            "evacuate": "pages_evacuated",
            "rebuild": "pages_rebuilt",
            "repatriate": "pages_repatriated",
        },
    ),
    MetricRow(
        "ramster_relocating",
        "1 for the reason for which pages are being moved, 0 for the others.",
        ("reason",),
        _relocating,
    ),
    one(
        "ramster_draining",
        "1 while the node hands over what it holds for others, before it stops.",
        "cluster",
        "draining",
    ),
    one(
        "ramster_puts_waited_total",
        "Batches of writes (of up to 256 pages) that found no room at first, and waited or were "
        "refused.",
        "cluster",
        "puts_waited",
    ),
    one(
        "ramster_puts_refused_total",
        "Writes that failed because no room was made for them.",
        "cluster",
        "puts_refused",
    ),
    one("ramster_writers_waiting", "Writes that wait for room now.", "cluster", "writers_waiting"),
    one(
        "ramster_remote_flushes_queued_total",
        "Copies at peers that became unwanted.",
        "cluster",
        "flushes_queued",
    ),
    one(
        "ramster_remote_flushes_total",
        "Flushes that peers acknowledged.",
        "cluster",
        "flushes_sent",
    ),
    one(
        "ramster_remote_flushes_dropped_total",
        "Flushes that became pointless because the peer's copies are gone.",
        "cluster",
        "flushes_dropped",
    ),
    one(
        "ramster_remote_flush_failures_total",
        "Flush messages that failed and were repeated.",
        "cluster",
        "flush_failures",
    ),
    one(
        "ramster_remote_flushes_pending",
        "Flushes not yet acknowledged.",
        "cluster",
        "flushes_pending",
    ),
    one(
        "ramster_leases_opened_total",
        "Leases given to owners of pages.",
        "cluster",
        "leases_opened",
    ),
    by(
        "ramster_leases_ended_total",
        "Owners whose pages were freed here, by cause.",
        "cause",
        "cluster",
        {
            "expired": "leases_expired",
            "superseded": "leases_superseded",
            "left": "leases_left",
        },
    ),
    by(
        "ramster_peer_messages_refused_total",
        "Greetings that were refused, and messages that broke the protocol or came too late.",
        "kind",
        "cluster",
        {"greeting": "hellos_refused", "message": "messages_refused"},
    ),
    one(
        "ramster_lenders_joined_total",
        "Times that a peer, or a new life of one, began to lend.",
        "cluster",
        "lenders_joined",
    ),
    one(
        "ramster_lenders_gone_total",
        "Times that what a peer held was found to be gone.",
        "cluster",
        "lenders_gone",
    ),
    one("ramster_peers_died_total", "Times that a peer became dead.", "cluster", "peers_died"),
    one("ramster_heartbeats_sent_total", "Heartbeats sent.", "cluster", "heartbeats_sent"),
)

PEER_ROWS: tuple[MetricRow, ...] = (
    MetricRow(
        "ramster_peer_state",
        "1 for the state that a peer is in, 0 for the others.",
        ("address", "peer", "state"),
        _states,
    ),
    _of_peers("ramster_peer_room_bytes", "What a peer would take, at its last word.", "room_bytes"),
    _of_peers("ramster_peer_away_pages", "Own pages that are at a peer.", "pages_away"),
    _of_peers(
        "ramster_peer_reported_pages",
        "The same by the peer's account, at its last heartbeat.",
        "foreign_pages",
    ),
    _of_peers(
        "ramster_peer_flushes_pending",
        "Copies at a peer that are unwanted and not known to be dropped.",
        "flushes_pending",
    ),
    _of_peers(
        "ramster_peer_round_trip_seconds",
        "Round trip of the last heartbeat to a peer.",
        "rtt_s",
    ),
    _of_peers("ramster_peer_silence_seconds", "Time since a peer's last sign of life.", "heard_s"),
    _of_peers(
        "ramster_peer_wanted_bytes",
        "What a peer wants this node to take back.",
        "wanted_bytes",
    ),
    _of_peers("ramster_peer_draining", "1 for a peer that is about to stop.", "draining"),
    _of_peers(
        "ramster_peer_spill_window_bytes",
        "What may be on its way to a peer at once.",
        "spill_window_bytes",
    ),
    _of_owners("ramster_owner_pages", "Pages held here for a node.", "pages"),
    _of_owners(
        "ramster_owner_silence_seconds",
        "Time since the last sign of life of a node whose pages are held here.",
        "heard_s",
    ),
)
