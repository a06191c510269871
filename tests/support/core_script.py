"""A small language for stories about one core: a command per line, its effects as text.

`name key=value word` becomes an event; what the core orders is written one line per effect. The
disk acts at once unless the story says `disk slow`; then `disk done` and `disk fails` say when.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable

from tests.support.core_rig import DISK_FULL, Rig
from tests.support.core_values import (
    NAMESPACE,
    OTHER_NAMESPACE,
    START,
    after,
    designated_config,
    entity,
    message,
    query,
    site_config,
    subscription,
)
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import ProofInvalidError, QueueError, WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.messages.verified import Verified
from wavemq.routing.config import QueueLimits
from wavemq.routing.effects import (
    AcceptSubscription,
    CloseUplinkSubscription,
    Deliver,
    Effect,
    EndConsumer,
    ForwardQuery,
    OpenUplinkSubscription,
    ReadRecords,
    ReadRetained,
    Reply,
    Transmit,
    WriteJournal,
)
from wavemq.routing.events import (
    ClockStepped,
    ConsumerAttached,
    ConsumerDetached,
    ConsumerId,
    CreditChanged,
    DeliveriesAcknowledged,
    DeliveriesReturned,
    DeliveryConfirmed,
    DownlinkReceived,
    Event,
    FrameAccepted,
    FrameRefused,
    JournalFailed,
    JournalWritten,
    MessagePublished,
    PeerMessagePublished,
    PeerQueryRequested,
    PeerSubscriptionRequested,
    PeerUnsubscribeRequested,
    QueryRequested,
    RequestId,
    SubscriptionRequested,
    TimerFired,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
)
from wavemq.routing.records import DownlinkPosition, JournalChanges, Place, QueueId

NAMESPACES = {"home": NAMESPACE, "elsewhere": OTHER_NAMESPACE}
ERRORS: dict[str, WaveMQError] = {
    "later": QueueError("not now"),
    "no": ProofInvalidError("not allowed"),
}
COUNTS = (
    "published_count",
    "enqueued_count",
    "upstream_count",
    "downstream_count",
    "duplicate_count",
    "delivered_count",
    "transmitted_count",
    "dropped_count",
    "withdrawn_count",
    "persisted_count",
    "peer_error_count",
    "subscriptions",
    "consumers",
    "queues",
    "queued_messages",
    "records",
)
CONTENT_SHOWN_MAX = 20


class Line:
    """A command with its words and options."""

    def __init__(self, text: str) -> None:
        first, *rest = shlex.split(text)
        self.name = first
        self.words = [word for word in rest if "=" not in word]
        self.options = dict(word.split("=", 1) for word in rest if "=" in word)

    def option(self, key: str, default: str) -> str:
        """Take an option."""
        return self.options.pop(key, default)

    def number(self, key: str, default: int) -> int:
        """Take an option that is a number."""
        return int(self.options.pop(key, default))

    def word(self) -> str:
        """Take the next word."""
        return self.words.pop(0)


class Story:
    """Runs commands against one core and writes down what it orders."""

    def __init__(self) -> None:
        self.rig: Rig | None = None
        self.is_disk_slow = False
        self.write: WriteJournal | None = None
        self._commands: dict[str, Callable[[Line], list[str]]] = {
            "router": self._router,
            "restart": self._restart,
            "disk": self._disk,
            "after": self._after,
            "counts": self._counts,
        }

    def run(self, text: str) -> list[str]:
        """Return the lines that a command gives."""
        line = Line(text)
        command = self._commands.get(line.name)
        output = command(line) if command is not None else self._report(self._event(line))
        assert not line.words, f"{text}: what is {line.words}?"
        assert not line.options, f"{text}: what is {line.options}?"
        return output or ["ok"]

    # --- commands ---------------------------------------------------------------------------

    def _router(self, line: Line) -> list[str]:
        config = {"site": site_config, "designated": designated_config}[line.word()]
        limits = QueueLimits(line.number("messages", 1000), line.number("bytes", 1 << 20))
        self.rig = Rig(
            config(
                consumer_queue=limits,
                uplink_queue=limits,
                uplink_window=line.number("window", 64),
                resident_bytes_max=line.number("resident", 1 << 20),
            )
        )
        return self._report()

    def _restart(self, line: Line) -> list[str]:
        del line
        self.write = None
        self._core().restart()
        return self._report()

    def _disk(self, line: Line) -> list[str]:
        match line.word():
            case "slow":
                self.is_disk_slow = True
                return []
            case "quick":
                self.is_disk_slow = False
                return []
            case outcome:
                write, self.write = self.write, None
                assert write is not None, "nothing is being written"
                if outcome == "fails":
                    return self._report(JournalFailed(write.batch, DISK_FULL))
                self._core().recorder.write(write.changes)
                return self._report(JournalWritten(write.batch))

    def _after(self, line: Line) -> list[str]:
        rig, lines = self._core(), list[str]()
        end = Instant(rig.now + round(float(line.word()) * NANOSECONDS_PER_SECOND))
        while (deadline := rig.router.next_deadline()) is not None and deadline <= end:
            rig.now = max(rig.now, deadline)
            seconds = (rig.now - START) / NANOSECONDS_PER_SECOND
            found = self._report(TimerFired())
            lines += [f"at {seconds:.2f} s", *("  " + one for one in found)] if found else []
        rig.now = end
        return lines

    def _counts(self, line: Line) -> list[str]:
        del line
        statistics = self._core().router.statistics()
        found = {name.removesuffix("_count"): getattr(statistics, name) for name in COUNTS}
        found |= {f"dropped:{cause}": count for cause, count in statistics.dropped.items()}
        return [" ".join(f"{name}={value}" for name, value in found.items() if value)]

    def _core(self) -> Rig:
        assert self.rig is not None, "a story begins with `router`"
        return self.rig

    # --- events -----------------------------------------------------------------------------

    def _event(self, line: Line) -> Event:
        match line.name:
            case "publish":
                return MessagePublished(request(line), a_message(line, "site"))
            case "peer-publish":
                return PeerMessagePublished(request(line), a_message(line, "site"))
            case "subscribe":
                return SubscriptionRequested(request(line), a_subscription(line))
            case "peer-subscribe":
                link = line.option("link", "link")
                return PeerSubscriptionRequested(request(line), a_subscription(line), link)
            case "peer-unsubscribe":
                link, name = line.option("link", "link"), line.option("id", "reader")
                return PeerUnsubscribeRequested(request(line), entity("subscriber"), name, link)
            case "query":
                return QueryRequested(request(line), a_query(line))
            case "peer-query":
                return PeerQueryRequested(request(line), a_query(line))
            case "attach":
                consumer, queue = ConsumerId(int(line.word())), QueueId(line.number("queue", 1))
                return ConsumerAttached(consumer, queue, line.number("credit", 100))
            case "confirm":
                return DeliveryConfirmed(ConsumerId(int(line.word())), Place(int(line.word())))
            case "acknowledge":
                return DeliveriesAcknowledged(ConsumerId(int(line.word())), the_places(line))
            case "return":
                delay_s = float(line.option("delay", "0"))
                consumer = ConsumerId(int(line.word()))
                return DeliveriesReturned(consumer, the_places(line), delay_s)
            case "credit":
                return CreditChanged(ConsumerId(int(line.word())), int(line.word()))
            case "clock":
                by_ns = round(float(line.word()) * NANOSECONDS_PER_SECOND)
                rig = self._core()
                rig.now = Instant(rig.now + by_ns)
                return ClockStepped(by_ns)
            case "detach":
                return ConsumerDetached(ConsumerId(int(line.word())))
            case "up":
                return UplinkConnected(NAMESPACE)
            case "down":
                return UplinkDisconnected(NAMESPACE)
            case "accepted":
                return FrameAccepted(NAMESPACE, Place(int(line.word())))
            case "refused":
                place = Place(int(line.word()))
                return FrameRefused(NAMESPACE, place, ERRORS[line.word()])
            case "stream-ended":
                return UplinkSubscriptionEnded(QueueId(int(line.word())), ERRORS["later"])
            case "downlink":
                queue = QueueId(line.number("queue", 1))
                index, journal = line.number("index", 0), line.option("journal", "far")
                position = DownlinkPosition(journal, index) if index else None
                return DownlinkReceived(queue, a_message(line, "far"), position)
            case other:
                raise AssertionError(f"no such command: {other}")

    def _report(self, *events: Event) -> list[str]:
        """Report events and what the disk does about them; return the effects as text."""
        rig, lines = self._core(), list[str]()
        pending: list[Event] = list(events)
        while True:
            effects = rig.handle(*pending)
            pending = []
            for effect in effects:
                lines += to_text(effect)
                if isinstance(effect, WriteJournal) and self.is_disk_slow:
                    self.write = effect
                elif (event := rig.perform(effect)) is not None:
                    pending.append(event)
            if not pending:
                return lines


# --- parts of commands --------------------------------------------------------------------------


def request(line: Line) -> RequestId:
    """Take the number of a request."""
    return RequestId(int(line.word()))


def the_places(line: Line) -> list[Place]:
    """Take the places that are left."""
    places, line.words = [Place(int(word)) for word in line.words], []
    return places


def a_message(line: Line, origin: str) -> Verified[Message]:
    """Take a message."""
    topic = line.word()
    is_persisted = line.option("persist", "no") == "yes"
    content = (line.word() if line.words else "").encode() + b"." * line.number("more", 0)
    formed = line.number("formed", 0)
    return message(
        topic,
        content,
        namespace=NAMESPACES[line.option("namespace", "home")],
        origin=line.option("origin", origin),
        is_persisted=is_persisted,
        timestamps=[formed] if formed else [],
    )


def a_subscription(line: Line) -> Verified[SubscriptionRequest]:
    """Take a subscription."""
    ends_s = line.number("ends", 0)
    return subscription(
        line.word(),
        line.option("id", "reader"),
        namespace=NAMESPACES[line.option("namespace", "home")],
        router_id=line.option("router", "site"),
        expiry_s=line.number("expiry", 60),
        absolute_expiry=after(ends_s) if ends_s else None,
    )


def a_query(line: Line) -> Verified[QueryRequest]:
    """Take a query."""
    return query(line.word(), namespace=NAMESPACES[line.option("namespace", "home")])


# --- effects as text ----------------------------------------------------------------------------


def to_text(effect: Effect) -> list[str]:
    """Return the lines that stand for an effect."""
    match effect:
        case WriteJournal(batch, changes):
            return [f"write {batch}: {changes_text(changes)}"]
        case ReadRecords(records):
            return [f"read records {numbers(records)}"]
        case Reply(number, error):
            return [f"reply {number}: {'done' if error is None else error}"]
        case AcceptSubscription(number, queue):
            return [f"reply {number}: subscribed to queue {queue}"]
        case ReadRetained(number, _, topic_filter):
            return [f"reply {number}: with retained messages of {topic_filter}"]
        case ForwardQuery(number, wish):
            return [f"reply {number}: with the answer from above to {wish.topic_filter}"]
        case Deliver(consumer, deliveries):
            return [
                f"deliver to {consumer}: {message_text(one.place, one.message)}"
                + (f" attempt={one.attempt}" if one.attempt > 1 else "")
                for one in deliveries
            ]
        case Transmit(_, frames):
            return [f"transmit: {message_text(one.place, one.message)}" for one in frames]
        case EndConsumer(consumer, error):
            return [f"end {consumer}: {error}"]
        case OpenUplinkSubscription(queue, wish):
            return [f"open stream for queue {queue}: {wish.topic_filter}"]
        case CloseUplinkSubscription(queue, wish):
            return [f"close stream for queue {queue}: {wish.topic_filter}"]


def message_text(place: Place, value: Message) -> str:
    """Return a message as text: place, topic, content, drops and hops."""
    content = value.payload[0].content.decode()
    if len(content) > CONTENT_SHOWN_MAX:
        content = content[:CONTENT_SHOWN_MAX] + f" and {len(content) - CONTENT_SHOWN_MAX} more"
    drops = ",".join(map(str, value.drops))
    hops = ",".join(
        f"{round((one - START) / NANOSECONDS_PER_SECOND, 6):g}" if one >= START else f"({one})"
        for one in value.timestamps
    )
    return f"[{place}] {value.topic} {content!r} drops={drops} hops={hops}"


def changes_text(changes: JournalChanges) -> str:
    """Return the changes of a write as text."""
    parts: dict[str, Collection[int]] = {
        "queues": changes.queues,
        "drops of": changes.dropped_counts,
        "records": changes.records,
        "without records": changes.removed_records,
        "without queues": changes.removed_queues,
    }
    found = [f"{name} {numbers(which)}" for name, which in parts.items() if which]
    places = [f"{queue}[{place}]" for queue, place in changes.entries]
    removed = [f"{queue}[{place}]" for queue, place in changes.removed_entries]
    retained = [topic.text for _, topic in changes.retained]
    found += [f"places {' '.join(places)}"] if places else []
    found += [f"without places {' '.join(removed)}"] if removed else []
    found += [f"retained {' '.join(retained)}"] if retained else []
    return ", ".join(found)


def numbers(values: Iterable[int]) -> str:
    """Return numbers as text."""
    return " ".join(map(str, values))
