"""The network's thread of the kernel, joined to the event loop.

Owns the thread, one for each event loop, and the handing out of its events in batches. Refuses to
know what calls mean. Fault model: an event may come for what has ended here meanwhile, which is
ignored; a defect in a handler costs that event, and is logged whole; one of the thread itself ends
everything here, and whoever runs the reactor with an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import structlog

from wavemq._kernel import Http2
from wavemq.errors import InternalError

Metadata = Sequence[tuple[str, str]]

_log = structlog.get_logger("wavemq.net.reactor")


class CallEvents(Protocol):
    """What a call under way hears, whichever its end."""

    def message(self, content: bytes) -> None:
        """Take a message."""
        ...

    def finished(self) -> None:
        """Take note that no more messages come."""
        ...

    def written(self, count: int) -> None:
        """Take note that messages have left for the network."""
        ...

    def headers(self, metadata: Metadata) -> None:
        """Take the headers of the answer."""
        ...

    def ended(self, code: int, text: str) -> None:
        """Take the end: that of a call made here, or of one served here before its answer."""
        ...


class ConnectionEvents(Protocol):
    """What a connection hears."""

    def secured(self, certificate: bytes) -> None:
        """Take note that TLS stands."""
        ...

    def received(self, content: bytes) -> None:
        """Take bytes before HTTP/2; none at the end."""
        ...

    def begun(self) -> None:
        """Take note that HTTP/2 has begun."""
        ...

    def disconnected(self, reason: str) -> None:
        """Take note of the end."""
        ...


class Arrival(NamedTuple):
    """A call to a method of ours.

    Attributes:
        call: by which it is answered.
        connection_number: of that over which it came; never used again after that has ended.
        metadata: of the caller, without the transport's own.
        message: the request; None: requests follow.
    """

    call: int
    connection_number: int
    metadata: Metadata
    message: bytes | None

    @property
    def connection(self) -> str:
        """The name of the connection."""
        return _name_of(self.connection_number)


_made_arrival: Final[Callable[[tuple[Any, ...]], Arrival]] = partial(tuple.__new__, Arrival)


class MethodEvents(Protocol):
    """What a method hears."""

    def arriving(self, connection: str) -> None:
        """Take note that a call begins to arrive; only if it asked for that."""
        ...

    def called(self, arrivals: Sequence[Arrival]) -> None:
        """Take calls, in the order in which they came."""
        ...


CONNECTION_NAMES_MAX: Final = 4096
"""Names of connections that are remembered; others are made anew."""
_CANCELLED: Final = 1
_UNAVAILABLE: Final = 14


class Reactor:
    """One thread of the network, with those who hear of its events.

    Attributes:
        http2: takes orders.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.http2 = Http2(self._send_soon)
        self._holds = 0
        self._methods: dict[int, MethodEvents] = {}
        self._calls: dict[int, CallEvents] = {}
        self._connections: dict[int, ConnectionEvents] = {}
        self._stopped: dict[int, asyncio.Future[None]] = {}
        self._next_method = 0
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._failed_text = ""
        self._loop.add_reader(self.http2.fileno(), self._take)

    def close(self) -> None:
        """End everything; nothing is heard any more."""
        self._loop.remove_reader(self.http2.fileno())
        self.http2.stop()

    async def run(self) -> None:
        """Return never; raise when the thread failed.

        Raises:
            InternalError: a defect ended the thread; nothing is served any more.
        """
        await asyncio.wait({self._failure})
        raise InternalError(self._failed_text)

    # --- who hears --------------------------------------------------------------------------

    def add_method(self, method: MethodEvents) -> int:
        """Return the number under which a method is served."""
        self._next_method += 1
        self._methods[self._next_method] = method
        return self._next_method

    def remove_method(self, number: int) -> None:
        """Ignore calls to a method from now on."""
        self._methods.pop(number, None)

    def add_call(self, number: int, call: CallEvents) -> None:
        """Have a call hear its events."""
        self._calls[number] = call

    def remove_call(self, number: int) -> None:
        """Ignore further events of a call."""
        self._calls.pop(number, None)

    def add_connection(self, number: int, connection: ConnectionEvents) -> None:
        """Have a connection hear its events, up to its end."""
        self._connections[number] = connection

    # --- orders -----------------------------------------------------------------------------

    def hold(self) -> None:
        """Gather orders until `release`: the network's thread is woken once for all of them."""
        self._holds += 1

    def release(self) -> None:
        """End a `hold`."""
        self._holds -= 1
        if not self._holds:
            self.http2.flush()

    def _send_soon(self, flush: Callable[[], None]) -> None:
        if not self._holds:
            self._loop.call_soon(flush)

    async def stop_listening(self, listener: int) -> None:
        """Let go of an address; it is free when this returns."""
        await self._until_stopped(listener, partial(self.http2.stop_listening, listener))

    async def end_service(self, service: int, linger_s: float) -> None:
        """End all connections of a service, at once those that have no calls."""
        await self._until_stopped(service, partial(self.http2.end_service, service, linger_s))

    async def _until_stopped(self, number: int, order: Callable[[], None]) -> None:
        """Order, and return when that is done; a thread that has failed has stopped everything."""
        stopped = self._stopped[number] = self._loop.create_future()
        order()
        await asyncio.wait({stopped, self._failure}, return_when=asyncio.FIRST_COMPLETED)

    # --- events -----------------------------------------------------------------------------

    def _take(self) -> None:
        """Hand out all events; calls to the same method that follow one another go together."""
        self.hold()
        try:
            for event in self.http2.take():
                kind = event[0]
                if kind == "called":
                    self._hand_over(event[1], list(map(_made_arrival, event[2])))
                else:
                    self._guarded(self._TABLE[kind], self, event)
        finally:
            self.release()

    def _hand_over(self, method: int, arrivals: Sequence[Arrival]) -> None:
        heard = self._methods.get(method)
        if heard is not None:
            self._guarded(heard.called, arrivals)

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception:  # noqa: BLE001 - one event's defect must not end the network; logged whole
            _log.exception("event_failed")

    def _message(self, event: tuple[Any, ...]) -> None:
        call = self._calls.get(event[1])
        if call is not None:
            call.message(event[2])

    def _written(self, event: tuple[Any, ...]) -> None:
        call = self._calls.get(event[1])
        if call is not None:
            call.written(event[2])

    def _finished(self, event: tuple[Any, ...]) -> None:
        call = self._calls.get(event[1])
        if call is not None:
            call.finished()

    def _headers(self, event: tuple[Any, ...]) -> None:
        call = self._calls.get(event[1])
        if call is not None:
            call.headers(event[2])

    def _gone(self, event: tuple[Any, ...]) -> None:
        call = self._calls.pop(event[1], None)
        if call is not None:
            call.ended(_CANCELLED, "the caller has gone")

    def _ended(self, event: tuple[Any, ...]) -> None:
        call = self._calls.pop(event[1], None)
        if call is not None:
            call.ended(event[2], event[3])

    def _arriving(self, event: tuple[Any, ...]) -> None:
        method = self._methods.get(event[3])
        if method is not None:
            method.arriving(_name_of(event[2]))

    def _secured(self, event: tuple[Any, ...]) -> None:
        connection = self._connections.get(event[1])
        if connection is not None:
            connection.secured(event[2])

    def _received(self, event: tuple[Any, ...]) -> None:
        connection = self._connections.get(event[1])
        if connection is not None:
            connection.received(event[2])

    def _begun(self, event: tuple[Any, ...]) -> None:
        connection = self._connections.get(event[1])
        if connection is not None:
            connection.begun()

    def _disconnected(self, event: tuple[Any, ...]) -> None:
        connection = self._connections.pop(event[1], None)
        if connection is not None:
            connection.disconnected(event[2])

    def _listener_stopped(self, event: tuple[Any, ...]) -> None:
        stopped = self._stopped.pop(event[1], None)
        if stopped is not None and not stopped.done():
            stopped.set_result(None)

    def _failed(self, event: tuple[Any, ...]) -> None:
        """End what is under way, which hears of nothing else any more."""
        self._failed_text = f"the network's thread failed: {event[1]}"
        _log.critical("network_failed", reason=event[1])
        self._failure.set_result(None)
        for call in list(self._calls.values()):
            self._guarded(call.ended, _UNAVAILABLE, self._failed_text)
        self._calls.clear()

    _TABLE: Final[dict[str, Callable[[Reactor, tuple[Any, ...]], None]]] = {
        "message": _message,
        "written": _written,
        "finished": _finished,
        "headers": _headers,
        "gone": _gone,
        "ended": _ended,
        "arriving": _arriving,
        "secured": _secured,
        "received": _received,
        "begun": _begun,
        "disconnected": _disconnected,
        "stopped": _listener_stopped,
        "failed": _failed,
    }


@lru_cache(maxsize=CONNECTION_NAMES_MAX)
def _name_of(connection_number: int) -> str:
    return f"connection-{connection_number}"


@dataclass(slots=True)
class _Shared:
    reactor: Reactor
    users: int = 0


_reactors: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


@asynccontextmanager
async def running_reactor() -> AsyncIterator[Reactor]:
    """Give the reactor of the running event loop; it ends with the last block that uses it."""
    loop = asyncio.get_running_loop()
    shared = _reactors.get(loop)
    if shared is None:
        shared = _reactors[loop] = _Shared(Reactor())
    shared.users += 1
    try:
        yield shared.reactor
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _reactors[loop]
            shared.reactor.close()
