"""What goes up to a designated router, what comes down, and what is kept open there."""

from __future__ import annotations

import pytest

from tests.support.core_rig import (
    Rig,
    all_of,
    contents,
    delivered,
    is_done,
    the,
    transmitted,
)
from tests.support.core_values import (
    NAMESPACE,
    OTHER_NAMESPACE,
    START,
    after,
    message,
    site_config,
    subscription,
)
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    LookupFailureError,
    ProofInvalidError,
    QueueError,
    RemoteProtocolError,
    WaveMQError,
)
from wavemq.routing.config import QueueLimits, RoutingConfig
from wavemq.routing.effects import CloseUplinkSubscription, Delivery, OpenUplinkSubscription
from wavemq.routing.events import (
    DownlinkReceived,
    FrameAccepted,
    FrameRefused,
    MessagePublished,
    SubscriptionRequested,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
    UplinkSubscriptionOpened,
)
from wavemq.routing.records import Place, QueueId
from wavemq.routing.retries import RETRY_SECONDS_MAX, RETRY_SECONDS_MIN
from wavemq.routing.uplinks import (
    FRAME_ATTEMPTS_MAX,
    HELD_UP_MAX,
    OPENING_MAX,
    PROBES_MAX,
    UNSETTLED_MAX,
)

UP, DOWN = UplinkConnected(NAMESPACE), UplinkDisconnected(NAMESPACE)


def accept(frame: Delivery) -> FrameAccepted:
    return FrameAccepted(NAMESPACE, frame.place)


def refuse(frame: Delivery, error: WaveMQError) -> FrameRefused:
    return FrameRefused(NAMESPACE, frame.place, error)


def rig_with_backlog(count: int, config: RoutingConfig | None = None) -> Rig:
    rig = Rig(config or site_config())
    for number in range(count):
        assert is_done(rig.publish(message("a", b"%d" % number)))
    return rig


# --- frames -------------------------------------------------------------------------------------


def test_messages_wait_for_the_link_and_go_up_in_order() -> None:
    rig = rig_with_backlog(5)
    frames = transmitted(rig.run(UP))
    assert contents(frames) == [b"0", b"1", b"2", b"3", b"4"]
    assert contents(transmitted(rig.publish(message("a", b"5")))) == [b"5"]


def test_frames_in_flight_keep_to_the_window() -> None:
    rig = rig_with_backlog(5, site_config(uplink_window=2))
    first, second = transmitted(rig.run(UP))
    (third,) = transmitted(rig.run(accept(second)))
    assert contents([first, second, third]) == [b"0", b"1", b"2"]
    assert contents(transmitted(rig.run(accept(first)))) == [b"3"]


def test_frame_leaves_the_queue_only_when_accepted_and_is_sent_again_after_a_break() -> None:
    rig = rig_with_backlog(4, site_config(uplink_window=3))
    frames = transmitted(rig.run(UP))
    rig.run(accept(frames[1]))
    assert rig.router.statistics().queued_messages == 3
    rig.run(DOWN)
    assert contents(transmitted(rig.run(UP))) == [b"0", b"2", b"3"]
    assert rig.router.statistics().transmitted_count == 1


def test_unaccepted_frames_are_sent_again_after_a_restart() -> None:
    rig = rig_with_backlog(3)
    frames = transmitted(rig.run(UP))
    rig.run(accept(frames[0]))
    rig.advance(1)
    rig.restart()
    again = transmitted(rig.run(UP))
    assert contents(again) == [b"1", b"2"]
    assert again[0].message.timestamps == frames[1].message.timestamps, "the same message as before"
    assert again[0].message.signature == frames[1].message.signature


def test_answer_that_comes_late_still_lets_go_of_its_frame() -> None:
    rig = rig_with_backlog(1)
    (frame,) = transmitted(rig.run(UP))
    rig.run(DOWN)
    rig.run(UP)
    rig.run(accept(frame))
    assert rig.router.statistics().queued_messages == 0
    assert rig.run(accept(frame)) == []
    assert rig.router.statistics().transmitted_count == 1


def test_new_link_takes_over_before_the_old_one_is_missed() -> None:
    rig = rig_with_backlog(2)
    rig.run(UP)
    assert contents(transmitted(rig.run(UP))) == [b"0", b"1"]
    assert rig.router.statistics().uplinks_connected == 1


def test_full_uplink_queue_drops_the_oldest_and_says_so_upward() -> None:
    rig = rig_with_backlog(5, site_config(uplink_queue=QueueLimits(2, 1 << 20)))
    frames = transmitted(rig.run(UP))
    assert contents(frames) == [b"3", b"4"]
    assert [frame.message.drops for frame in frames] == [(3,), (3,)]


def test_what_follows_a_drop_on_its_topic_waits_until_the_drop_is_on_disk() -> None:
    """Goal: order. A drop that a crash takes back brings an older message after newer ones."""
    rig = rig_with_backlog(2, site_config(uplink_queue=QueueLimits(2, 1 << 20)))
    rig.is_disk_full = True
    rig.publish(message("2"))
    assert transmitted(rig.run(UP)) == []
    rig.run(DOWN)
    rig.restart()
    assert contents(transmitted(rig.run(UP))) == [b"0", b"1"], "the drop did not happen"
    rig = rig_with_backlog(2, site_config(uplink_queue=QueueLimits(2, 1 << 20)))
    rig.is_disk_full = True
    rig.publish(message("2"))
    rig.run(UP)
    rig.is_disk_full = False
    assert contents(transmitted(rig.advance(5))) == [b"1"]


def test_uplink_queue_does_not_expire() -> None:
    rig = rig_with_backlog(1, site_config(queue_expiry_s=60))
    rig.advance(90 * 86_400)
    assert contents(transmitted(rig.run(UP))) == [b"0"]


def test_frame_refused_for_good_is_dropped_and_the_next_go_on() -> None:
    rig = rig_with_backlog(2, site_config(uplink_window=1))
    (frame,) = transmitted(rig.run(UP))
    (following,) = transmitted(rig.run(refuse(frame, ProofInvalidError("expired"))))
    assert contents([following]) == [b"1"]
    assert following.message.drops == (1,)
    statistics = rig.router.statistics()
    assert (statistics.dropped["refused"], statistics.dropped_count) == (1, 1)
    assert statistics.peer_error_count == 1


@pytest.mark.parametrize(
    "error", [QueueError("full"), LookupFailureError("?"), RemoteProtocolError("?")]
)
def test_frame_refused_for_now_is_sent_again_alone_and_then_what_waits(error: WaveMQError) -> None:
    rig = rig_with_backlog(3, site_config(uplink_window=2))
    first, second = transmitted(rig.run(UP))
    assert rig.run(refuse(first, error), refuse(second, error)) == []
    assert transmitted(rig.advance(RETRY_SECONDS_MIN / 2 - 0.01)) == []
    (probe,) = transmitted(rig.advance(RETRY_SECONDS_MIN))
    assert contents([probe]) == [b"0"]
    assert contents(transmitted(rig.run(accept(probe)))) == [b"1", b"2"]


def test_topic_is_not_probed_before_all_its_frames_are_answered() -> None:
    rig = rig_with_backlog(2)
    first, second = transmitted(rig.run(UP))
    rig.run(refuse(first, LookupFailureError("?")))
    assert transmitted(rig.advance(RETRY_SECONDS_MAX)) == []
    assert contents(transmitted(rig.run(refuse(second, LookupFailureError("?"))))) == [b"0"]


def test_message_that_cannot_be_judged_is_given_up_though_others_are_refused_behind_it() -> None:
    rig = rig_with_backlog(2)
    first, second = transmitted(rig.run(UP))
    behind = QueueError("an earlier message of its topic was not taken")
    rig.run(refuse(first, LookupFailureError("?")), refuse(second, behind))
    for _ in range(FRAME_ATTEMPTS_MAX - 1):
        (probe,) = transmitted(rig.advance(RETRY_SECONDS_MAX))
        assert contents([probe]) == [b"0"]
        rig.run(refuse(probe, LookupFailureError("?")))
    assert rig.router.statistics().dropped["refused"] == 1
    (probe,) = transmitted(rig.advance(RETRY_SECONDS_MAX))
    assert contents([probe]) == [b"1"]


def test_topic_that_is_held_up_holds_up_no_other() -> None:
    rig = rig_with_backlog(1)
    (frame,) = transmitted(rig.run(UP))
    rig.run(refuse(frame, LookupFailureError("?")))
    assert transmitted(rig.publish(message("a", b"behind"))) == []
    assert contents(transmitted(rig.publish(message("b", b"other")))) == [b"other"]
    (probe,) = transmitted(rig.advance(RETRY_SECONDS_MAX))
    assert contents(transmitted(rig.run(accept(probe)))) == [b"behind"]


def test_all_wait_when_too_many_topics_are_held_up_and_a_few_are_probed() -> None:
    rig = Rig(site_config())
    rig.run(UP)
    for number in range(HELD_UP_MAX + 1):
        (frame,) = transmitted(rig.publish(message(f"t/{number}", b"?")))
        rig.run(refuse(frame, QueueError("full")))
    assert transmitted(rig.publish(message("other", b"waits"))) == []
    probes = transmitted(rig.advance(RETRY_SECONDS_MAX))
    assert len(probes) == PROBES_MAX
    following = transmitted(rig.run(*map(accept, probes)))
    assert len(following) == PROBES_MAX + 1, "the others at once, and what waited"
    assert b"waits" in contents(following)


def test_live_messages_do_not_wait_behind_a_backlog() -> None:
    rig = rig_with_backlog(100, site_config(uplink_window=4))
    frames = transmitted(rig.run(UP))
    rig.publish(message("b", b"live"))
    (following,) = transmitted(rig.run(accept(frames[0])))
    assert contents([following]) == [b"live"]


def test_live_message_of_a_topic_in_the_backlog_goes_behind_it() -> None:
    rig = rig_with_backlog(3, site_config(uplink_window=1))
    frames = transmitted(rig.run(UP))
    rig.publish(message("a", b"new"))
    sent = [frames[-1]]
    while frames:
        frames = transmitted(rig.run(accept(frames[0])))
        sent += frames
    assert contents(sent) == [b"0", b"1", b"2", b"new"]


def test_busy_live_topics_leave_a_share_to_the_backlog() -> None:
    rig = rig_with_backlog(40, site_config(uplink_window=1))
    (frame,) = transmitted(rig.run(UP))
    live = 0
    for number in range(80):
        rig.publish(message("b", b"live-%d" % number))
    for _ in range(40):
        (frame,) = transmitted(rig.run(accept(frame)))
        live += contents([frame])[0].startswith(b"live")
    assert 28 <= live <= 32


def test_thin_link_gets_little_at_a_time_and_a_fast_one_much() -> None:
    rig = Rig(site_config())
    for number in range(400):
        assert is_done(rig.publish(message("a", bytes([number % 256]) * 2000)))
    frames = transmitted(rig.run(UP))
    first = len(frames)
    assert 1 < first < 10
    for _ in range(3):  # answered at once: twice as many each time
        frames = [one for frame in frames for one in transmitted(rig.run(accept(frame)))]
    assert len(frames) >= 4 * first
    for _ in range(5):  # answered late: half as many each time, one at least
        rig.advance(3.0)
        frames = [one for frame in frames for one in transmitted(rig.run(accept(frame)))]
    assert 1 <= len(frames) <= 3


def test_delays_double_up_to_a_bound() -> None:
    rig = rig_with_backlog(1)
    (frame,) = transmitted(rig.run(UP))
    longest = RETRY_SECONDS_MIN
    for _ in range(FRAME_ATTEMPTS_MAX - 1):
        rig.run(refuse(frame, LookupFailureError("not now")))
        started = rig.now
        deadline = rig.router.next_deadline()
        assert deadline is not None
        (frame,) = transmitted(rig.advance(RETRY_SECONDS_MAX))
        waited_s = (deadline - started) / NANOSECONDS_PER_SECOND
        assert longest / 2 <= waited_s <= longest
        longest = min(longest * 2, RETRY_SECONDS_MAX)
    rig.run(refuse(frame, LookupFailureError("not now")))
    assert rig.router.statistics().dropped["refused"] == 1, "it may not hold everything up for ever"
    assert rig.router.statistics().queued_messages == 0


def test_full_disk_of_the_designated_router_drops_nothing_however_long_it_lasts() -> None:
    rig = rig_with_backlog(1)
    (frame,) = transmitted(rig.run(UP))
    for _ in range(3 * FRAME_ATTEMPTS_MAX):
        rig.run(refuse(frame, QueueError("full")))
        (frame,) = transmitted(rig.advance(RETRY_SECONDS_MAX))
    assert rig.router.statistics().dropped_count == 0
    assert rig.router.statistics().queued_messages == 1


def test_break_during_a_pause_sends_everything_again_at_once() -> None:
    rig = rig_with_backlog(2)
    first, _ = transmitted(rig.run(UP))
    rig.run(refuse(first, QueueError("full")))
    rig.run(DOWN)
    assert contents(transmitted(rig.run(UP))) == [b"0", b"1"]
    assert transmitted(rig.advance(RETRY_SECONDS_MAX)) == []


def test_strangers_reports_are_ignored() -> None:
    rig = rig_with_backlog(1)
    rig.run(
        UplinkConnected(OTHER_NAMESPACE),
        UplinkDisconnected(OTHER_NAMESPACE),
        DOWN,
        FrameAccepted(NAMESPACE, Place(1)),
        FrameAccepted(OTHER_NAMESPACE, Place(1)),
        FrameRefused(NAMESPACE, Place(1), ProofInvalidError("waits")),
        FrameRefused(OTHER_NAMESPACE, Place(1), ProofInvalidError("unknown")),
        UplinkSubscriptionEnded(QueueId(77), None),
        DownlinkReceived(QueueId(77), message("a")),
    )
    assert rig.router.statistics().queued_messages == 1
    assert rig.router.statistics().peer_error_count == 0


def test_queue_of_an_uplink_that_is_no_longer_configured_stays() -> None:
    rig = rig_with_backlog(2)
    rig.config = site_config(uplinks=frozenset({OTHER_NAMESPACE}))
    rig.restart()
    assert rig.router.statistics().queued_messages == 2
    rig.config = site_config()
    rig.restart()
    assert contents(transmitted(rig.run(UP))) == [b"0", b"1"]


# --- subscriptions ------------------------------------------------------------------------------


def test_stream_is_opened_for_each_local_subscription_when_the_link_comes() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a/*"))
    (opened,) = all_of(OpenUplinkSubscription, rig.run(UP))
    assert opened.queue == queue
    assert opened.request.topic_filter.text == "a/*"
    rig.run(DOWN)
    assert len(all_of(OpenUplinkSubscription, rig.run(UP))) == 1


def test_stream_is_opened_before_the_client_is_answered_when_the_link_is_up() -> None:
    rig = Rig(site_config())
    rig.run(UP)
    rig.subscribe(subscription("a"))
    rig.restart()
    assert len(all_of(OpenUplinkSubscription, rig.run(UP))) == 1, "also after a restart"


def test_resuming_opens_another_stream_only_if_the_terms_changed() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.run(UP)
    same = rig.run(SubscriptionRequested(rig.request(), subscription("a")))
    assert all_of(OpenUplinkSubscription, same) == []
    renewed = rig.run(SubscriptionRequested(rig.request(), subscription("a", proof=b"new")))
    opened = the(OpenUplinkSubscription, renewed)
    assert (opened.queue, opened.request.proof) == (queue, b"new")


def test_stream_that_ends_is_opened_again_later_and_later() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a", expiry_s=3600))
    rig.run(UP)
    for longest in (0.5, 1, 2, 4, 8, 16, 30, 30):
        rig.run(UplinkSubscriptionEnded(queue, ProofInvalidError("not yet known there")))
        assert all_of(OpenUplinkSubscription, rig.advance(longest / 2 - 0.01)) == []
        assert len(all_of(OpenUplinkSubscription, rig.advance(longest / 2 + 0.01))) == 1
    rig.run(UplinkSubscriptionEnded(queue, None))
    rig.run(DOWN)
    assert all_of(OpenUplinkSubscription, rig.advance(60)) == [], "not without a link"
    assert len(all_of(OpenUplinkSubscription, rig.run(UP))) == 1


def test_stream_is_closed_when_its_subscription_ends() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.run(UP)
    closed = the(CloseUplinkSubscription, rig.advance(60))
    assert closed.queue == queue
    assert closed.request.identifier == "reader"


def test_downlink_message_goes_into_its_subscription_s_queue_only() -> None:
    rig = Rig(site_config())
    one, two = rig.subscribe(subscription("a/*")), rig.subscribe(subscription("a/b", "two"))
    rig.run(UP)
    rig.now = after(7)
    rig.run(DownlinkReceived(one, message("a/b", b"1", origin="far", timestamps=[5])))
    (got,) = delivered(rig.attach(one)[1])
    assert got.message.timestamps == (5, Instant(START + 7 * NANOSECONDS_PER_SECOND))
    assert delivered(rig.attach(two)[1]) == []
    assert rig.router.statistics().downstream_count == 1


def test_downlink_message_survives_a_restart() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.run(UP, DownlinkReceived(queue, message("a", b"1", origin="far")))
    rig.restart()
    assert contents(delivered(rig.attach(queue)[1])) == [b"1"]


def test_own_message_that_comes_down_again_is_not_delivered_twice() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.attach(queue)
    assert len(delivered(rig.publish(message("a", b"1")))) == 1
    assert rig.run(DownlinkReceived(queue, message("a", b"1", origin="site"))) == []
    assert rig.router.statistics().duplicate_count == 1


@pytest.mark.parametrize(
    "foreign", [message("b", origin="far"), message("a", namespace=OTHER_NAMESPACE, origin="far")]
)
def test_downlink_message_that_was_not_asked_for_is_refused(foreign: object) -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.run(DownlinkReceived(queue, foreign))  # type: ignore[arg-type]  # parametrized
    assert delivered(rig.attach(queue)[1]) == []
    assert rig.router.statistics().peer_error_count == 1


# --- many subscriptions, slow disk --------------------------------------------------------------


def test_streams_of_many_subscriptions_are_opened_a_few_at_a_time() -> None:
    rig = Rig(site_config())
    queues = [rig.subscribe(subscription("a", f"reader {number}")) for number in range(100)]
    opened = [one.queue for one in all_of(OpenUplinkSubscription, rig.run(UP))]
    assert opened == queues[:OPENING_MAX]
    (more,) = all_of(OpenUplinkSubscription, rig.run(UplinkSubscriptionOpened(opened[5])))
    assert more.queue == queues[OPENING_MAX]
    ended = UplinkSubscriptionEnded(opened[6], QueueError("not now"))
    assert [one.queue for one in all_of(OpenUplinkSubscription, rig.run(ended))] == [
        queues[OPENING_MAX + 1]
    ]
    for queue in queues:
        rig.run(UplinkSubscriptionOpened(queue))
    rig.run(DOWN)
    assert len(all_of(OpenUplinkSubscription, rig.run(UP))) == OPENING_MAX


def test_uplink_waits_for_the_disk_when_too_much_would_go_again_after_a_crash() -> None:
    rig = Rig(site_config(uplink_queue=QueueLimits(10_000, 1 << 30)))
    for number in range(2 * UNSETTLED_MAX):
        rig.publish(message("a", b"%d" % number))
    frames = transmitted(rig.run(UP))
    taken = 0
    while frames:  # the disk does nothing meanwhile
        frames += transmitted(rig.handle(accept(frames.pop(0))))
        taken += 1
    assert UNSETTLED_MAX <= taken < 1.5 * UNSETTLED_MAX
    assert transmitted(rig.handle(MessagePublished(rig.request(), message("a", b"more")))) == []
