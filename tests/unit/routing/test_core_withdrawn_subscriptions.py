"""Subscriptions whose proof was revoked: they end, or go on with another proof."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core_rig import Rig, all_of, contents, delivered, the
from tests.support.core_values import (
    NAMESPACE,
    after,
    designated_config,
    message,
    site_config,
    subscription,
)
from wavemq.clock import Instant
from wavemq.errors import UnsubscribedError
from wavemq.messages.message import SubscriptionRequest
from wavemq.messages.verified import Verified, restored_from_journal
from wavemq.routing.effects import CloseUplinkSubscription, EndConsumer, OpenUplinkSubscription
from wavemq.routing.events import (
    ConsumerDetached,
    PeerSubscriptionRequested,
    SubscriptionReproved,
    SubscriptionWithdrawn,
    UplinkConnected,
)
from wavemq.routing.records import QueueId

OTHER_PROOF = b"another proof"


def proved_otherwise(
    one: Verified[SubscriptionRequest], until: Instant
) -> Verified[SubscriptionRequest]:
    return restored_from_journal(replace(one.value, proof=OTHER_PROOF), until)


def test_reader_of_a_withdrawn_subscription_is_told_and_its_queue_is_gone() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    consumer, _ = rig.attach(queue)
    effects = rig.run(SubscriptionWithdrawn(queue, wanted.value.proof, "it was revoked"))
    ended = the(EndConsumer, effects)
    assert ended.consumer == consumer
    assert isinstance(ended.error, UnsubscribedError)
    assert ended.error.reason == "it was revoked"
    found = rig.router.statistics()
    assert (found.subscriptions, found.queues, found.revoked_count) == (0, 0, 1)
    assert delivered(rig.publish(message("a", b"later"))) == []
    rig.restart()
    assert rig.router.statistics().subscriptions == 0


def test_withdrawn_subscription_drops_what_waits_in_its_queue() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    rig.publish(message("a", b"1"))
    rig.run(SubscriptionWithdrawn(queue, wanted.value.proof, "it was revoked"))
    found = rig.router.statistics()
    assert (found.queued_messages, found.dropped_count) == (0, 1)


def test_subscription_of_a_site_is_withdrawn_too() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a", router_id="site")
    rig.run(PeerSubscriptionRequested(rig.request(), wanted, "link"))
    (standing,) = rig.router.standing_subscriptions()
    assert not standing.is_local
    rig.run(SubscriptionWithdrawn(standing.queue, standing.request.proof, "it was revoked"))
    assert rig.router.standing_subscriptions() == []


def test_withdrawn_subscription_is_given_up_at_the_designated_router() -> None:
    rig = Rig(site_config())
    rig.run(UplinkConnected(NAMESPACE))
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    effects = rig.run(SubscriptionWithdrawn(queue, wanted.value.proof, "it was revoked"))
    assert the(CloseUplinkSubscription, effects).queue == queue


def test_subscription_that_has_another_proof_by_now_is_left_alone() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    consumer, _ = rig.attach(queue)
    effects = rig.run(
        SubscriptionWithdrawn(queue, OTHER_PROOF, "it was revoked"),
        SubscriptionReproved(queue, OTHER_PROOF, proved_otherwise(wanted, after(60))),
    )
    assert all_of(EndConsumer, effects) == []
    assert rig.router.standing_subscriptions()[0].request == wanted.value
    assert contents(delivered(rig.publish(message("a", b"1")))) == [b"1"]
    rig.run(ConsumerDetached(consumer))


def test_subscription_that_is_gone_by_now_is_ignored() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a")
    unknown = QueueId(99)
    effects = rig.run(
        SubscriptionWithdrawn(unknown, wanted.value.proof, "it was revoked"),
        SubscriptionReproved(unknown, wanted.value.proof, proved_otherwise(wanted, after(60))),
    )
    assert effects == []


def test_reader_notices_nothing_of_another_proof_and_the_designated_router_gets_it() -> None:
    rig = Rig(site_config())
    rig.run(UplinkConnected(NAMESPACE))
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    rig.attach(queue)
    reproved = proved_otherwise(wanted, after(600))
    effects = rig.run(SubscriptionReproved(queue, wanted.value.proof, reproved))
    assert all_of(EndConsumer, effects) == []
    opened = the(OpenUplinkSubscription, effects)
    assert (opened.queue, opened.request) == (queue, reproved.value)
    assert contents(delivered(rig.publish(message("a", b"1")))) == [b"1"]
    rig.restart()
    assert rig.router.standing_subscriptions()[0].request.proof == OTHER_PROOF


def test_subscription_ends_when_its_other_proof_does() -> None:
    rig = Rig(designated_config())
    wanted = subscription("a")
    queue = rig.subscribe(wanted)
    rig.attach(queue)
    rig.run(SubscriptionReproved(queue, wanted.value.proof, proved_otherwise(wanted, after(600))))
    assert all_of(EndConsumer, rig.advance(599)) == []
    assert isinstance(the(EndConsumer, rig.advance(2)).error, UnsubscribedError)
