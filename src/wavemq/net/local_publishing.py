"""Publishes of programs, taken in batches as they arrive.

Owns the way from the bytes of a request to a submission, and back from its answer to bytes. Refuses
to know what becomes of a message. Fault model: a request that breaks a rule gets an error inside
the response, one that is no protobuf ends its call with a status; either costs nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import grpc
import structlog
from google.protobuf.message import DecodeError

from wavemq._kernel import PublishCutter
from wavemq.errors import InternalError, InvalidParameterError, WaveMQError
from wavemq.limits import MESSAGE_BYTES_MAX, PAYLOAD_OBJECTS_MAX
from wavemq.net.batcher import Batcher
from wavemq.net.pending_subscriptions import PendingSubscriptions
from wavemq.net.reactor import Arrival, Reactor
from wavemq.net.transport import Answer, LocalPort
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import PublishCall, PublishCut, made_publish_cut, publish_call_from_wire
from wavemq.wire.convert import error_to_wire

Parts = tuple[bytes, bytes, str, tuple[tuple[str, bytes], ...], int, bool]
"""What a request was cut into: see `PublishCutter.cut`."""

_PUBLISHED: Final = mqpb.PublishResponse().SerializeToString()

_log = structlog.get_logger("wavemq.net.door")


class LocalPublishing:
    """The method `Publish`.

    Args:
        reactor: that answers.
        port: of the router; gets each batch.
        subscribing: holds back what was sent after a subscription that is not effective yet.

    Attributes:
        batcher: of all that programs publish.
    """

    def __init__(
        self,
        reactor: Reactor,
        port: LocalPort,
        subscribing: PendingSubscriptions,
    ) -> None:
        self._reactor = reactor
        self._port = port
        self.batcher: Batcher[PublishCall | PublishCut] = Batcher(port.publish)
        self._cutter = PublishCutter()
        self._subscribing = subscribing
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a call has no answer yet."""
        return bool(self._waiting or self.batcher.unanswered_count)

    def take(self, arrivals: Sequence[Arrival]) -> None:
        """Take calls; each gets its answer."""
        cuts = self._cutter.cut([(one.connection_number, one.message or b"") for one in arrivals])
        for arrival, parts in zip(arrivals, cuts, strict=True):
            content, connection = arrival.message or b"", arrival.connection
            try:
                call = _call(content, parts)
                answer = partial(self._answer, arrival.call)
                # A client subscribes and at once publishes a request whose answer it awaits.
                if self._subscribing.is_anything_awaited(connection):
                    self._submit_later(call, len(content), connection, answer)
                else:
                    self.batcher.put(call, len(content), connection, answer)
            except WaveMQError as error:
                self._answer(arrival.call, error)
            except DecodeError:
                status, _ = grpc.StatusCode.INTERNAL.value
                self._reactor.http2.finish(
                    arrival.call, status, "the request is no protobuf message"
                )
            except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
                _log.exception("door_failed", method="Publish")
                self._answer(arrival.call, InternalError("the router failed; its log says why"))
        self.batcher.flush()

    def _submit_later(
        self, call: PublishCall | PublishCut, size_bytes: int, connection: str, answer: Answer
    ) -> None:
        waiting = asyncio.ensure_future(self._wait_and_submit(call, size_bytes, connection, answer))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def _wait_and_submit(
        self, call: PublishCall | PublishCut, size_bytes: int, connection: str, answer: Answer
    ) -> None:
        await self._subscribing.wait_effective(connection)
        try:
            self.batcher.put(call, size_bytes, connection, answer)
            self.batcher.flush_soon()
        except WaveMQError as error:
            answer(error)

    def _answer(self, call: int, error: WaveMQError | None) -> None:
        if error is None:
            self._reactor.http2.answer(call, _PUBLISHED)
        else:
            response = mqpb.PublishResponse(error=error_to_wire(error))
            self._reactor.http2.answer(call, response.SerializeToString())


def _call(content: bytes, parts: Parts | None) -> PublishCall | PublishCut:
    """Return a request, parsed as far as that may not be known to be good."""
    if parts is None:
        return publish_call_from_wire(mqpb.PublishParams.FromString(content))
    caller, namespace, topic, payload, size_bytes, is_persisted = parts
    whole = partial(_whole, content, caller)
    if size_bytes > MESSAGE_BYTES_MAX or len(payload) > PAYLOAD_OBJECTS_MAX:
        return whole()
    return made_publish_cut(caller, namespace, topic, payload, is_persisted, whole)


def _whole(content: bytes, caller: bytes) -> PublishCall:
    """Return a request that was cut, whole; raises as `publish_call_from_wire`."""
    try:
        params = mqpb.PublishParams.FromString(content)
    except DecodeError as error:
        raise InvalidParameterError("the request is no protobuf message") from error
    return publish_call_from_wire(params, caller_name=caller)
