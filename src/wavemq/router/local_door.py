"""What programs may do at this router: the router's side of the local API.

Owns the way from a call to events of the core, and from deliveries to what the caller may read
(wavemq.md 6, 7, 10). Refuses to know gRPC and queues. Fault model: callers may ask anything, in any
number up to the door's bounds; each call ends in an answer. Messages of one topic enter the core in
the order in which they were submitted, however long each takes to form.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import structlog

from wavemq.authz.perspective import Perspective
from wavemq.authz.prepared import PlainDraft, Prepared
from wavemq.authz.publishing import Publishing
from wavemq.clock import Instant
from wavemq.errors import (
    AuthorizationError,
    DesignatedRouterLinkDownError,
    InternalError,
    InvalidParameterError,
    ObjectError,
    SubscriptionFailedError,
    WaveMQError,
)
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.lanes import Lanes
from wavemq.net.objects import LocationRouter
from wavemq.net.transport import (
    Answer,
    ConnectionStatus,
    Consumption,
    Deliveries,
    LocalPort,
    Submission,
)
from wavemq.net.uplink import Uplink
from wavemq.router import driver
from wavemq.router.consumption import QueueConsumption
from wavemq.router.deliveries import QueueDeliveries
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.routing.effects import AcceptSubscription, ForwardQuery, ReadRetained
from wavemq.routing.events import (
    QueryRequested,
    SubscriptionRequested,
    made_message_published,
)
from wavemq.routing.records import QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire.calls import CallerSecret, PublishCall, PublishCut, QueryCall, SubscribeCall

_log = structlog.get_logger("wavemq.router.door")

Forming = tuple[Answer, asyncio.Task[Verified[Message] | WaveMQError]]


class LocalDoor(LocalPort):
    """Carries out calls of programs.

    Args:
        doorway: the parts that doors share.
        publishing: forms requests and opens payloads in the names of callers.
        locations: by which callers may name where their entity is.
        designated: namespaces that this router is the designated one of.
        uplinks: by namespace.
    """

    def __init__(
        self,
        doorway: Doorway,
        *,
        publishing: Publishing,
        locations: LocationRouter,
        designated: frozenset[Hash],
        uplinks: Mapping[Hash, Uplink],
    ) -> None:
        self._driver = doorway.driver
        self._router_id = doorway.driver.router_id
        self._admission = doorway.admission
        self._clock = doorway.clock
        self._group = doorway.group
        self._counts = doorway.counts
        self._publishing = publishing
        self._locations = locations
        self._designated = designated
        self._uplinks = uplinks
        self._lanes: Lanes[tuple[Hash, str], Forming] = Lanes(doorway.group, self._publish)

    def connection_status(self) -> ConnectionStatus:
        """Return how many uplinks there should be, and how many there are."""
        return ConnectionStatus(
            uplinks_configured=len(self._uplinks),
            uplinks_connected=sum(uplink.is_connected for uplink in self._uplinks.values()),
        )

    # --- publish ----------------------------------------------------------------------------

    def publish(self, submissions: Sequence[Submission[PublishCall | PublishCut]]) -> None:
        """Form messages side by side, and have the core take them in order per topic."""
        now = self._clock.now()
        drafts: list[PlainDraft] = []
        answers: list[Answer] = []
        usable: dict[tuple[bytes, bytes, str], Prepared | None] = {}
        for submission in submissions:
            call = submission.request
            if isinstance(call, PublishCut):
                what = (call.caller, call.namespace, call.topic)
                if what in usable:
                    prepared = usable[what]
                else:
                    prepared = usable[what] = self._usable(*what, now)
                if prepared is not None:
                    drafts.append((prepared, call.payload, call.is_persisted))
                    answers.append(submission.answer)
                    continue
                whole = _whole(call)
                if isinstance(whole, WaveMQError):
                    submission.answer(whole)
                    continue
                call = whole
            usable.clear()  # what follows on this topic must wait for this
            forming = self._group.create_task(guarded("Publish", self._form(call)))
            self._lanes.put((call.namespace, call.topic.text), (submission.answer, forming))
        if drafts:
            formed = self._publishing.form_prepared(drafts)
            self._driver.publish(made_message_published, formed, answers)
            self._driver.turn()

    def _usable(self, caller: bytes, namespace: bytes, topic: str, now: Instant) -> Prepared | None:
        """Return what it takes to form a message at once, if that is known.

        That nothing which was published before is still being formed is a part of it.
        """
        prepared = self._publishing.prepared(caller, namespace, topic)
        if prepared is None or self._lanes.is_busy((prepared.namespace, prepared.topic.text)):
            return None
        return prepared if self._publishing.is_usable(prepared, now) else None

    async def _form(self, call: PublishCall) -> Verified[Message]:
        perspective = await self._identify(call.caller)
        now = self._clock.now()
        formed = await self._publishing.form_message(
            perspective,
            namespace=call.namespace,
            topic=call.topic,
            payload=call.payload,
            now=now,
            encryption_partition=call.encryption_partition,
            is_jedi=call.is_jedi,
            is_persisted=call.is_persisted,
            custom_proof=call.custom_proof,
        )
        if call.caller_name:
            await self._publishing.prepare(
                call.caller_name, perspective, call.namespace, call.topic, now
            )
        return formed

    async def _publish(self, forming: Forming) -> None:
        answer, task = forming
        formed = await task
        if isinstance(formed, WaveMQError):
            self._counts.publishes_refused += 1
            answer(formed)
        else:
            self._driver.publish(made_message_published, (formed,), (answer,))
            self._driver.turn_soon()

    # --- subscribe --------------------------------------------------------------------------

    async def subscribe(self, call: SubscribeCall) -> Deliveries:
        """Open or resume a subscription in the caller's name.

        Raises:
            SubscriptionFailedError: this router has nothing to do with the namespace, or the
                identifier is bound to another filter.
            WaveMQError: the caller may not subscribe.
        """
        perspective, queue = await self._accept(call)
        return QueueDeliveries(self._driver.attach(queue), partial(self._open, perspective))

    async def consume(self, call: SubscribeCall, credit: int) -> Consumption:
        """Open or resume a subscription for a caller that acknowledges; errors as `subscribe`."""
        perspective, queue = await self._accept(call)
        reader = self._driver.attach(queue, credit)
        return QueueConsumption(reader, self._router_id, partial(self._open, perspective))

    async def _accept(self, call: SubscribeCall) -> tuple[Perspective, QueueId]:
        """Return who subscribes, and the queue; count a refusal."""
        try:
            return await self._opened_queue(call)
        except WaveMQError:
            self._counts.subscriptions_refused += 1
            raise

    async def _opened_queue(self, call: SubscribeCall) -> tuple[Perspective, QueueId]:
        if call.namespace not in self._designated and call.namespace not in self._uplinks:
            raise SubscriptionFailedError(
                "could not create subscription",
                cause=InvalidParameterError("no configured DR for this namespace"),
            )
        perspective = await self._identify(call.caller)
        formed = await self._publishing.form_subscription(
            perspective,
            namespace=call.namespace,
            topic_filter=call.topic_filter,
            identifier=call.identifier or str(uuid.uuid4()),
            expiry_s=call.expiry_s,
            now=self._clock.now(),
            absolute_expiry=call.absolute_expiry,
            custom_proof=call.custom_proof,
        )
        accepted = await self._driver.ask(lambda request: SubscriptionRequested(request, formed))
        assert isinstance(accepted, AcceptSubscription)  # the core's other answer is an error
        return perspective, accepted.queue

    # --- query ------------------------------------------------------------------------------

    async def query(self, call: QueryCall) -> AsyncIterator[Sequence[Message]]:
        """Return what the caller may read of the retained messages that match, in batches.

        Raises:
            DesignatedRouterLinkDownError: there is no link to the designated router.
            UpstreamError: it refused or failed.
            WaveMQError: the caller may not query.
        """
        try:
            perspective = await self._identify(call.caller)
            formed = await self._publishing.form_query(
                perspective,
                namespace=call.namespace,
                topic_filter=call.topic_filter,
                now=self._clock.now(),
                custom_proof=call.custom_proof,
            )
            answer = await self._driver.ask(lambda request: QueryRequested(request, formed))
            found = self._find(answer)
        except DesignatedRouterLinkDownError:
            self._counts.queries_without_link += 1
            raise
        except WaveMQError:
            self._counts.queries_refused += 1
            raise
        async with aclosing(found) as batches:
            async for batch in batches:
                opened = [await self._open(perspective, message) for message in batch]
                readable = [message for message in opened if message is not None]
                self._counts.retained_returned += len(readable)
                if readable:
                    yield readable

    def _find(self, answer: driver.Answer) -> AsyncGenerator[Sequence[Message], None]:
        if isinstance(answer, ReadRetained):
            return self._driver.retained(answer)
        assert isinstance(answer, ForwardQuery)  # the core's other answer is an error
        uplink = self._uplinks[answer.query.namespace]
        return self._checked(uplink.query(answer.query))

    async def _checked(
        self, batches: AsyncIterator[Sequence[Message]]
    ) -> AsyncGenerator[Sequence[Message], None]:
        """Leave out what a designated router should not have answered."""
        async for batch in batches:
            checked = await self._admission.check_messages(batch, self._clock.now())
            genuine = [one.value for one in checked if isinstance(one, Verified)]
            self._counts.deliveries_unproved += len(batch) - len(genuine)
            yield genuine

    # --- callers and payloads ---------------------------------------------------------------

    async def _identify(self, caller: CallerSecret) -> Perspective:
        location = caller.location
        if location is None and caller.agent_location:
            location = self._locations.location_of(caller.agent_location)
        return await self._publishing.identify(
            caller.secret, caller.passphrase, location, self._clock.now()
        )

    async def _open(self, perspective: Perspective, message: Message) -> Message | None:
        """Return the message with its contents readable; None when they are not for this reader."""
        try:
            payload = await self._publishing.open_payload(perspective, message, self._clock.now())
        except (AuthorizationError, ObjectError):
            self._counts.deliveries_unreadable += 1
            return None
        return message if payload is message.payload else replace(message, payload=payload)


def _whole(cut: PublishCut) -> PublishCall | WaveMQError:
    """Return a call with all its parts checked; what is wrong with it concerns it alone."""
    try:
        return cut.whole()
    except WaveMQError as error:
        return error
    except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
        _log.exception("door_failed", what="Publish")
        return InternalError("the router failed; its log says why")
