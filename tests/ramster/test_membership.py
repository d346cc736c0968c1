"""The state of peers, as a function of what was heard and when."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.cluster_config import ClusterConfig
from ramster.lenders import Lender
from ramster.membership import LEASE_MARGIN, NOTICE_BEAT_S, ROOM_ASK_PAUSE_S, Membership
from ramster.peer_state import LenderGone, LenderUp, PeerState, StateChanged, StepKind
from ramster.transport import HeartbeatReply, HelloReply

OWN_INCARNATION = 99
B = Lender("b", 1, 10)


def make(*peers: str, **knobs: Any) -> Membership:
    config = ClusterConfig(node="a", peers=peers or ("b:1",), **knobs)
    return Membership(config, OWN_INCARNATION, Random(1), now=0.0)


def hello_of(
    node: str = "b",
    incarnation: int = 1,
    lease: int = 10,
    *,
    room: int = 1000,
    lease_s: float = 60,
    draining: bool = False,
) -> HelloReply:
    return HelloReply(
        node=node,
        incarnation=incarnation,
        lease=lease,
        room_bytes=room,
        lease_s=lease_s,
        draining=draining,
    )


def alive(*peers: str, **knobs: Any) -> Membership:
    """Peers b, c, ... alive since 0."""
    members = make(*peers, **knobs)
    for number, peer in enumerate(members, 1):
        node = peer.address.split(":")[0]
        members.on_hello_reply(
            peer.address, hello_of(node, number, number * 10), sent_at=0.0, now=0.0
        )
    return members


def beat(
    room: int = 500, incarnation: int = 1, *, wanted: int = 0, draining: bool = False
) -> HeartbeatReply:
    return HeartbeatReply(
        incarnation=incarnation,
        room_bytes=room,
        foreign_pages=3,
        wanted_bytes=wanted,
        draining=draining,
    )


def state(members: Membership, address: str = "b:1") -> PeerState:
    return members.peer(address).state


def test_a_new_peer_is_greeted_at_once() -> None:
    members = make("b:1", "c:1")
    assert [members.step(address) for address in ("b:1", "c:1")] == [(StepKind.HELLO, 0.0)] * 2
    assert members.may_gain_room()
    assert members.hello().node == "a"
    assert members.hello().incarnation == OWN_INCARNATION


def test_an_answered_hello_makes_the_peer_alive_and_a_candidate() -> None:
    members = make()
    events = members.on_hello_reply("b:1", hello_of(), sent_at=1.0, now=1.5)
    assert events == [
        StateChanged("b:1", PeerState.CONNECTING, PeerState.ALIVE, "answers"),
        LenderUp("b:1", B, True),
    ]
    assert members.address_of(B) == "b:1"
    assert members.candidates() == [("b:1", B, 1000)]
    assert members.step("b:1") == (StepKind.HEARTBEAT, 2.0)
    assert members.peer("b:1").rtt_s == 0.5


def test_a_heartbeat_brings_the_room_and_the_next_one_is_an_interval_later() -> None:
    members = alive()
    assert members.on_heartbeat_reply(B, beat(), sent_at=1.0, now=1.01) == []
    assert members.candidates() == [("b:1", B, 500)]
    assert members.peer("b:1").foreign_pages == 3
    assert members.step("b:1") == (StepKind.HEARTBEAT, 2.0)


def test_heartbeats_are_frequent_enough_for_a_short_lease() -> None:
    members = make()
    members.on_hello_reply("b:1", hello_of(lease_s=0.9), sent_at=0.0, now=0.0)
    assert members.step("b:1").at == pytest.approx(0.3)


def test_silence_makes_suspect_then_dead_at_the_configured_times() -> None:
    """Checklist 61: a dead peer is detected within the configured time, without manual action."""
    members = alive(suspect_after_s=3, dead_after_s=10)
    assert members.tick(now=2.99) == []
    assert members.next_tick() == 3.0
    assert [event.after for event in members.tick(now=3.0)] == [PeerState.SUSPECT]
    assert members.candidates() == []
    assert members.next_tick() == 10.0
    assert members.tick(now=9.99) == []
    assert [event.after for event in members.tick(now=10.0)] == [PeerState.DEAD]
    assert members.next_tick() is None
    assert members.address_of(B) == "b:1", "a dead lender is not gone"


@given(st.floats(0, 1e6), st.floats(0.1, 100.0))
def test_a_tick_at_its_time_is_never_too_early(heard_at: float, suspect_after_s: float) -> None:
    members = make(
        heartbeat_interval_s=0.1, suspect_after_s=suspect_after_s, dead_after_s=200, lease_s=200
    )
    members.on_hello_reply("b:1", hello_of(lease_s=200), sent_at=heard_at, now=heard_at)
    for expected in (PeerState.SUSPECT, PeerState.DEAD):
        at = members.next_tick()
        assert at is not None
        members.tick(now=at)
        assert state(members) is expected


def test_a_peer_that_never_answered_is_dead_after_the_dead_time() -> None:
    members = make()
    members.on_failure("b:1", "connection refused", broken=True, now=0.1)
    assert state(members) is PeerState.CONNECTING
    events = members.tick(now=10.0)
    assert events == [
        StateChanged("b:1", PeerState.CONNECTING, PeerState.DEAD, "connection refused")
    ]
    assert not members.may_gain_room()


def test_a_peer_without_room_is_asked_again_for_a_put_that_came_later() -> None:
    members = alive()
    asked_at = members.peer("b:1").room_at
    assert members.want_room(1, since=asked_at + 1, now=asked_at + 1) == [], "it has room"
    members.on_room(B, 0)
    assert members.want_room(1, since=asked_at, now=asked_at) == [], "its word is not older"
    assert not members.may_gain_room()
    assert members.want_room(1, since=asked_at + 0.001, now=asked_at + 0.001) == ["b:1"]
    assert members.may_gain_room()
    assert members.step("b:1").at == asked_at + ROOM_ASK_PAUSE_S, "not at any rate"
    assert members.want_room(1, since=asked_at + 0.001, now=asked_at + 0.002) == []
    members.on_heartbeat_reply(B, beat(room=0), sent_at=asked_at + 0.02, now=asked_at + 0.03)
    assert not members.may_gain_room()
    members.on_flushed(B, now=asked_at + 0.04)
    assert members.may_gain_room()


def test_a_peer_that_may_soon_have_room_is_told_from_one_that_has_none() -> None:
    members = alive()
    assert not members.may_gain_room(), "it is a candidate, with the room it has"
    members.on_broken(B, "reset", now=0.1)
    assert members.may_gain_room()
    members.on_room(B, 0)
    assert not members.may_gain_room()
    members.on_unknown_lease(B, now=0.2)
    assert members.may_gain_room(), "a new lease may bring room"
    members.tick(now=100.0)
    assert not members.may_gain_room()


def test_a_lender_is_given_up_well_before_its_lease_ends() -> None:
    members = make()
    members.on_hello_reply("b:1", hello_of(lease_s=4.0), sent_at=0.0, now=0.5)
    members.tick(now=LEASE_MARGIN * 4.0 - 0.001)
    assert state(members) is not PeerState.DEAD
    assert members.next_tick() == LEASE_MARGIN * 4.0
    members.tick(now=LEASE_MARGIN * 4.0)
    assert state(members) is PeerState.DEAD


@given(st.floats(0.1, 60.0), st.floats(0.0, 5.0), st.floats(0.76, 1.33))
def test_no_lender_ends_a_lease_before_its_owner_has_given_it_up(
    lease_s: float, way_s: float, pace: float
) -> None:
    """Whatever the way took, and with a lender's clock that runs up to a third faster."""
    members = make(dead_after_s=60.0, lease_s=60.0)
    members.on_hello_reply("b:1", hello_of(lease_s=lease_s), sent_at=0.0, now=2 * way_s)
    given_up_at = members._dead_at(members.peer("b:1"))
    ended_at = way_s + lease_s / pace
    assert given_up_at <= ended_at


@pytest.mark.parametrize("silent_s", [5.0, 50.0, 5000.0])
def test_the_same_life_and_lease_is_the_same_lender_however_long_it_was_silent(
    silent_s: float,
) -> None:
    members = alive()
    members.tick(now=silent_s)
    events = members.on_hello_reply("b:1", hello_of(), sent_at=silent_s, now=silent_s)
    assert state(members) is PeerState.ALIVE
    assert events[-1] == LenderUp("b:1", B, False)
    assert not any(isinstance(event, LenderGone) for event in events)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (hello_of(incarnation=2, lease=10), "restarted"),
        (hello_of(incarnation=1, lease=11), "ended the lease"),
        (hello_of(node="z", incarnation=5, lease=12), "is now z"),
    ],
)
def test_another_life_or_lease_is_another_lender_and_the_former_is_gone(
    reply: HelloReply, reason: str
) -> None:
    members = alive()
    events = members.on_hello_reply("b:1", reply, sent_at=5.0, now=5.0)
    new = Lender(reply.node, reply.incarnation, reply.lease)
    assert events[0] == LenderGone("b:1", B, f"b at b:1 {reason}")
    assert events[-1] == LenderUp("b:1", new, True)
    assert members.address_of(B) is None
    assert members.address_of(new) == "b:1"


def test_an_unknown_lease_is_greeted_again_at_once_and_the_lender_is_gone() -> None:
    members = alive()
    events = members.on_unknown_lease(B, now=0.5)
    assert [type(event) for event in events] == [LenderGone]
    assert members.step("b:1") == (StepKind.HELLO, 0.5)
    assert members.on_unknown_lease(B, now=0.6) == [], "one loss is told once"


def test_a_heartbeat_answered_by_another_life_loses_the_lender() -> None:
    members = alive()
    events = members.on_heartbeat_reply(B, beat(incarnation=7), sent_at=1.0, now=1.0)
    assert events == [LenderGone("b:1", B, "b at b:1 restarted")]
    assert members.step("b:1").kind is StepKind.HELLO


def test_answers_about_a_lender_that_is_gone_change_nothing() -> None:
    members = alive()
    members.on_unknown_lease(B, now=0.5)
    assert members.on_word(B, sent_at=0.4) == []
    assert members.on_heartbeat_reply(B, beat(), sent_at=0.4, now=0.6) == []
    assert members.on_broken(B, "reset", now=0.6) == []
    members.on_room(B, 123)
    members.reserve(B, 5)
    assert members.candidates() == []


def test_failures_back_off_exponentially_with_jitter_and_an_answer_resets_them() -> None:
    """Checklist 60: a lost connection is re-established by itself."""
    members = make(reconnect_backoff_min_s=0.1, reconnect_backoff_max_s=2.0)
    now, pauses = 0.0, []
    for _ in range(12):
        members.on_failure("b:1", "refused", broken=True, now=now)
        step = members.step("b:1")
        assert step.kind is StepKind.HELLO
        pauses.append(step.at - now)
        now = step.at
    for number, pause in enumerate(pauses):
        longest = min(2.0, 0.1 * 2**number)
        assert longest / 2 <= pause <= longest
    assert len({round(pause, 6) for pause in pauses[5:]}) > 1, "no jitter"
    members.on_hello_reply("b:1", hello_of(), sent_at=now, now=now)
    members.on_failure("b:1", "refused", broken=True, now=now)
    assert members.step("b:1").at - now <= 0.1


def test_a_broken_connection_makes_suspect_and_is_greeted_at_once() -> None:
    members = alive()
    events = members.on_broken(B, "connection reset", now=0.2)
    assert events == [StateChanged("b:1", PeerState.ALIVE, PeerState.SUSPECT, "connection reset")]
    assert members.step("b:1") == (StepKind.HELLO, 0.2)
    assert members.on_broken(B, "again", now=0.3) == []
    members.on_hello_reply("b:1", hello_of(), sent_at=0.3, now=0.4)
    assert state(members) is PeerState.ALIVE


def test_a_lost_heartbeat_does_not_make_suspect_before_its_time() -> None:
    members = alive()
    members.on_failure("b:1", "no answer in 3 s", broken=False, now=1.0)
    assert state(members) is PeerState.ALIVE
    assert members.step("b:1").kind is StepKind.HELLO


def test_any_word_keeps_a_peer_alive_and_revives_a_suspect() -> None:
    members = alive()
    members.on_word(B, sent_at=2.5)
    assert members.tick(now=3.0) == []
    members.tick(now=5.5)
    assert state(members) is PeerState.SUSPECT
    assert members.on_word(B, sent_at=5.6) == [
        StateChanged("b:1", PeerState.SUSPECT, PeerState.ALIVE, "answers")
    ]


def test_a_refusal_is_kept_with_its_reason_and_asked_again_later() -> None:
    """Checklist 59: a mismatch is refused with a clear reason."""
    members = make()
    reason = "protocol version 2 offered: accepted is 1"
    events = members.on_refused("b:1", reason, now=1.0)
    assert events == [StateChanged("b:1", PeerState.CONNECTING, PeerState.REFUSED, reason)]
    assert members.peer("b:1").reason == reason
    step = members.step("b:1")
    assert step.kind is StepKind.HELLO
    assert step.at > 1.0
    assert members.on_refused("b:1", reason, now=2.0) == []
    members.on_hello_reply("b:1", hello_of(), sent_at=3.0, now=3.0)
    assert state(members) is PeerState.ALIVE


def test_this_node_itself_is_recognised_and_left_alone() -> None:
    members = make("a:1", "b:1")
    events = members.on_hello_reply("a:1", hello_of("a", OWN_INCARNATION, 0), sent_at=0.0, now=0.0)
    assert [event.after for event in events if isinstance(event, StateChanged)] == [PeerState.SELF]
    assert members.candidates() == []
    assert members.tick(now=1000.0) != []
    assert state(members, "a:1") is PeerState.SELF


def test_another_node_with_this_nodes_name_is_refused() -> None:
    members = make()
    members.on_hello_reply("b:1", hello_of("a", 5), sent_at=0.0, now=0.0)
    assert state(members) is PeerState.REFUSED
    assert "another node is named a" in members.peer("b:1").reason


def test_a_second_peer_with_a_name_in_use_is_refused() -> None:
    members = alive("b:1", "c:1")
    members.on_hello_reply("c:1", hello_of("b", 7, 70), sent_at=1.0, now=1.0)
    assert state(members, "c:1") is PeerState.REFUSED
    assert "b:1" in members.peer("c:1").reason
    assert members.address_of(B) == "b:1"


def test_a_dead_node_that_answers_at_another_address_takes_its_pages_along() -> None:
    members = make("b:1", "b:2")
    members.on_hello_reply("b:1", hello_of(), sent_at=0.0, now=0.0)
    members.tick(now=20.0)
    members.on_hello_reply("b:2", hello_of(), sent_at=20.0, now=20.0)
    assert members.address_of(B) == "b:2"
    assert members.state_of(B) is PeerState.ALIVE
    assert members.peer("b:1").lender is None


def test_a_dead_node_that_restarted_at_another_address_is_gone_at_the_first() -> None:
    members = make("b:1", "b:2")
    members.on_hello_reply("b:1", hello_of(), sent_at=0.0, now=0.0)
    members.tick(now=20.0)
    events = members.on_hello_reply("b:2", hello_of("b", 2, 20), sent_at=20.0, now=20.0)
    assert LenderGone("b:1", B, "b restarted at b:2") in events
    assert members.address_of(B) is None


@pytest.mark.parametrize(
    "reply",
    [hello_of(""), hello_of("x" * 256), hello_of(lease_s=0), hello_of(room=-1)],
)
def test_a_hello_reply_that_makes_no_sense_is_refused(reply: HelloReply) -> None:
    members = make()
    members.on_hello_reply("b:1", reply, sent_at=0.0, now=0.0)
    assert state(members) is PeerState.REFUSED


def test_room_that_is_on_its_way_is_not_offered_twice() -> None:
    members = alive()
    members.reserve(B, 400)
    assert members.candidates() == [("b:1", B, 600)]
    members.on_room(B, 300)
    assert members.candidates() == [("b:1", B, 0)]
    members.reserve(B, -400)
    assert members.candidates() == [("b:1", B, 300)]


def test_more_than_eight_nodes_are_no_special_case() -> None:
    """Checklist 68: three or more nodes work at the same time."""
    members = alive(*(f"n{i}:1" for i in range(20)))
    assert len(members.candidates()) == 20


# -- lenders that want pages to leave
# ----------------------------------------------------------------------------------------


def test_a_draining_peer_is_no_candidate_and_no_hope_and_may_change_its_mind() -> None:
    members = make()
    members.on_hello_reply("b:1", hello_of(draining=True), sent_at=0.0, now=0.0)
    assert members.peer("b:1").draining
    assert members.candidates() == []
    members.on_slow(B, "late", now=0.1)
    assert not members.may_gain_room(), "it will not take any more"
    members.on_hello_reply("b:1", hello_of(draining=False), sent_at=0.2, now=0.2)
    assert members.candidates() == [("b:1", B, 1000)]
    members.on_heartbeat_reply(B, beat(draining=True), sent_at=1.0, now=1.0)
    assert members.candidates() == []
    members.on_heartbeat_reply(B, beat(), sent_at=2.0, now=2.0)
    assert members.candidates() == [("b:1", B, 500)]


def test_a_peer_that_wants_room_is_no_candidate_until_enough_has_left() -> None:
    members = alive()
    members.on_heartbeat_reply(B, beat(wanted=300), sent_at=1.0, now=1.0)
    assert members.candidates() == []
    members.on_evacuated(B, 200)
    assert members.peer("b:1").wanted_bytes == 100
    assert members.candidates() == []
    members.on_evacuated(B, 200)
    assert members.peer("b:1").wanted_bytes == 0, "and no less"
    assert members.candidates() == [("b:1", B, 500)]
    members.on_heartbeat_reply(B, beat(wanted=5), sent_at=2.0, now=2.0)
    assert members.candidates() == [], "its own word counts"


@pytest.mark.parametrize("notice", [{"wanted": 1}, {"draining": True}])
def test_a_peer_that_wants_pages_to_leave_is_asked_often_how_many_are_left(
    notice: dict[str, Any],
) -> None:
    members = alive(heartbeat_interval_s=1.0)
    members.on_heartbeat_reply(B, beat(**notice), sent_at=1.0, now=1.0)
    assert members.step("b:1") == (StepKind.HEARTBEAT, 1.0 + NOTICE_BEAT_S)
    members.on_heartbeat_reply(B, beat(), sent_at=1.25, now=1.25)
    assert members.step("b:1") == (StepKind.HEARTBEAT, 2.25)


def test_what_a_lender_wanted_is_forgotten_with_it() -> None:
    members = alive()
    members.on_heartbeat_reply(B, beat(wanted=300, draining=True), sent_at=1.0, now=1.0)
    members.on_unknown_lease(B, now=1.1)
    assert (members.peer("b:1").wanted_bytes, members.peer("b:1").draining) == (0, False)
    members.on_evacuated(B, 5)
    members.on_hello_reply("b:1", hello_of(lease=11), sent_at=1.2, now=1.2)
    assert len(members.candidates()) == 1


# -- lenders that are slow, and nodes that stand still
# -------------------------------------------------------------------------


def test_a_lender_that_is_late_with_a_spill_gets_no_more_until_it_says_hello() -> None:
    members = alive()
    events = members.on_slow(B, "no answer in 2 s", now=1.0)
    assert events == [StateChanged("b:1", PeerState.ALIVE, PeerState.SUSPECT, "no answer in 2 s")]
    assert members.candidates() == []
    assert members.may_gain_room()
    assert members.step("b:1") == (StepKind.HELLO, 1.0)
    assert members.on_word(B, sent_at=1.1) == [], "an answered fetch says nothing of spills"
    assert state(members) is PeerState.SUSPECT
    assert members.on_slow(B, "once more", now=1.2) == []
    members.on_hello_reply("b:1", hello_of(), sent_at=1.3, now=1.4)
    assert members.candidates() == [("b:1", B, 1000)]


def test_a_late_answer_of_a_lender_that_is_not_alive_changes_nothing() -> None:
    members = alive()
    members.tick(now=20.0)
    assert members.on_slow(B, "late", now=20.0) == []
    assert state(members) is PeerState.DEAD
    members.on_unknown_lease(B, now=21.0)
    assert members.on_slow(B, "late", now=21.0) == []


def test_time_in_which_this_node_stood_still_is_no_silence_of_others() -> None:
    members = alive("b:1", "c:1", suspect_after_s=3.0, dead_after_s=10.0)
    members.on_stall(100.0)
    assert members.tick(now=102.9) == []
    members.tick(now=103.0)
    assert {state(members, "b:1"), state(members, "c:1")} == {PeerState.SUSPECT}


def test_a_lender_exists_until_its_life_or_lease_is_known_to_be_over() -> None:
    members = alive()
    peer = members.peer_of(B)
    assert peer is not None
    assert peer.address == "b:1"
    members.tick(now=100.0)
    assert members.exists(B), "a dead one may come back"
    members.on_unknown_lease(B, now=100.0)
    assert not members.exists(B)
    assert members.peer_of(B) is None


KINDS = ["hello", "beat", "notice", "evacuated", "word", "fail", "broken", "slow", "refuse"]

STEPS = st.lists(
    st.tuples(
        st.sampled_from([*KINDS, "unknown", "tick"]),
        st.sampled_from(["b:1", "c:1", "d:1"]),
        st.integers(1, 2),
        st.floats(0.0, 15.0),
    ),
    max_size=40,
)


def happen(members: Membership, kind: str, address: str, life: int, now: float) -> list[Any]:
    """One thing that can happen to a peer."""
    lender = members.peer(address).lender
    if kind == "hello":
        reply = hello_of(address[0], life, life * 100)
        return members.on_hello_reply(address, reply, sent_at=now, now=now)
    if kind == "fail":
        return members.on_failure(address, "x", broken=life == 1, now=now)
    if kind == "refuse":
        return members.on_refused(address, "x", now=now)
    if kind == "tick" or lender is None:
        return members.tick(now=now)
    if kind == "beat":
        return members.on_heartbeat_reply(lender, beat(incarnation=life), sent_at=now, now=now)
    if kind == "notice":
        notice = beat(incarnation=lender.incarnation, wanted=100 * life, draining=life == 2)
        return members.on_heartbeat_reply(lender, notice, sent_at=now, now=now)
    if kind == "evacuated":
        members.on_evacuated(lender, 150)
        return []
    if kind == "slow":
        return members.on_slow(lender, "x", now=now)
    if kind == "unknown":
        return members.on_unknown_lease(lender, now=now)
    if kind == "broken":
        return members.on_broken(lender, "x", now=now)
    return members.on_word(lender, sent_at=now)


@given(STEPS)
def test_whatever_happens_the_books_agree(steps: list[tuple[str, str, int, float]]) -> None:
    """Every lender has one address, one that goes was there, only the living are candidates."""
    members = make("b:1", "c:1", "d:1")
    now, up = 0.0, set[Lender]()
    for kind, address, life, pause in steps:
        now += pause
        for event in happen(members, kind, address, life, now):
            if isinstance(event, LenderUp):
                up.add(event.lender)
            elif isinstance(event, LenderGone):
                up.remove(event.lender)
        assert {peer.lender for peer in members if peer.lender is not None} == up
        for peer in members:
            if peer.lender is not None:
                assert members.address_of(peer.lender) == peer.address
        for candidate in members.candidates():
            peer = members.peer(candidate.address)
            assert peer.state is PeerState.ALIVE
            assert not peer.draining
            assert peer.wanted_bytes == 0
        assert members.step(address).at <= now + 5.0
