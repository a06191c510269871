"""What was published, what arrived, and whether a promise was broken in between.

Owns the record of a run (each message with its fate, each delivery in order) and the verdict over
it: what was answered arrived, once, in order and unchanged. Refuses to know routers and clocks:
programs tell it what they do, its time is the order in which they tell. Fault model: whatever
arrives may be anything; what no publisher of this history sent is counted as foreign.

A publisher calls `sending` before it sends and `settle` when it knows the fate; a subscriber calls
`joined` when its subscription is effective and `received` for each message. Memory: about 300 bytes
for each message and 100 for each delivery; contents are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import shake_128
from typing import Final

from wavemq.errors import InvalidParameterError
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.testing.verdict import Finding, SubscriberVerdict, Verdict

SIZE_BYTES_DEFAULT: Final = 64
EXAMPLES_MAX: Final = 5
"""Examples of each kind of finding that a verdict shows; all are counted."""


class Fate(StrEnum):
    """What a publisher knows of a message that it sent."""

    UNKNOWN = "unknown"
    """No answer has come, or none will: it may be delivered, once."""
    ANSWERED = "answered"
    """The router has promised to deliver it."""
    REFUSED = "refused"
    """The router has said that it did not take it: it must not be delivered."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of a history.

    Args:
        publisher: who sends it.
        number: counts the publisher's messages from 0.
        topic: where to.
        payload: says who sent it under which number, so that it is known again where it arrives.
    """

    publisher: str
    number: int
    topic: str
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Sent:
    """A message and when, in steps of the history, it was sent and its fate known."""

    publisher: str
    number: int
    topic: str
    size_bytes: int
    sent_at: int
    settled_at: int | None = None
    fate: Fate = Fate.UNKNOWN

    @property
    def name(self) -> str:
        return f"{self.publisher}/{self.number} on {self.topic}"


@dataclass(slots=True)
class _Subscriber:
    """What one queue asked for and got."""

    topic_filter: TopicFilter
    joined_at: int
    arrived: list[tuple[_Sent, str]] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    drops: dict[int, int] = field(default_factory=dict)
    altered: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def wants(self, sent: _Sent) -> bool:
        return sent.sent_at >= self.joined_at and self.topic_filter.matches(Topic(sent.topic))


class History:
    """The record of one run; not for several threads."""

    def __init__(self) -> None:
        self._step = 0
        self._sent: dict[tuple[str, int], _Sent] = {}
        self._next_number: Counter[str] = Counter()
        self._fates: Counter[Fate] = Counter()
        self._subscribers: dict[str, _Subscriber] = {}
        self._outstanding: dict[str, set[tuple[str, int]]] = {}

    # --- publishers ---------------------------------------------------------------------------

    def sending(
        self, publisher: str, topic: str, *, size_bytes: int = SIZE_BYTES_DEFAULT
    ) -> Publication:
        """Note that a message is about to be sent, and return it.

        Args:
            publisher: a name without spaces.
            topic: where to.
            size_bytes: of the payload; more if its name needs more.

        Raises:
            InvalidParameterError: the name has a space or is empty, or the topic is none.
        """
        if not publisher or " " in publisher:
            raise InvalidParameterError(f"a publisher's name must have no space: {publisher!r}")
        Topic(topic)
        number = self._next_number[publisher]
        self._next_number[publisher] += 1
        payload = _payload(publisher, number, size_bytes)
        self._sent[publisher, number] = _Sent(publisher, number, topic, size_bytes, self._tick())
        self._fates[Fate.UNKNOWN] += 1
        return Publication(publisher, number, topic, payload)

    def settle(self, publication: Publication, fate: Fate) -> None:
        """Note what became of a message; not calling this is the same as `Fate.UNKNOWN`."""
        sent = self._sent[publication.publisher, publication.number]
        self._fates[sent.fate] -= 1
        self._fates[fate] += 1
        sent.fate, sent.settled_at = fate, self._tick()
        if fate is Fate.ANSWERED:
            key = (sent.publisher, sent.number)
            for name, subscriber in self._subscribers.items():
                if key not in subscriber.seen and subscriber.wants(sent):
                    self._outstanding[name].add(key)

    def count(self, fate: Fate) -> int:
        """Return how many messages have this fate now."""
        return self._fates[fate]

    # --- subscribers --------------------------------------------------------------------------

    def joined(self, subscriber: str, topic_filter: str) -> None:
        """Note that a queue exists: what is sent from now on and matches must reach it.

        Once for each queue; one that is resumed goes on as it was.
        """
        self._subscribers[subscriber] = _Subscriber(TopicFilter(topic_filter), self._tick())
        self._outstanding[subscriber] = set()

    def received(
        self,
        subscriber: str,
        topic: str,
        payload: bytes,
        *,
        origin: str = "",
        drops: Sequence[int] = (),
    ) -> None:
        """Note a delivery.

        Args:
            subscriber: as given to `joined`.
            topic: of the message.
            payload: of the message.
            origin: the router at which it was published: order is promised for each.
            drops: as delivered, the count of each hop's queue.
        """
        own = self._subscribers[subscriber]
        for hop, dropped in enumerate(drops):
            own.drops[hop] = max(own.drops.get(hop, 0), dropped)
        key = _parse_name(payload)
        sent = None if key is None else self._sent.get(key)
        if key is None or sent is None or not own.topic_filter.matches(Topic(topic)):
            own.foreign.append(f"{payload[:40]!r} on {topic}")
            return
        if topic != sent.topic or payload != _payload(*key, sent.size_bytes):
            own.altered.append(f"{sent.name}, which arrived on {topic} with {len(payload)} bytes")
            return
        own.arrived.append((sent, origin))
        own.seen.add(key)
        self._outstanding[subscriber].discard(key)

    def outstanding(self, subscriber: str) -> int:
        """Return how many answered messages this queue waits for; costs nothing to ask."""
        return len(self._outstanding[subscriber])

    def delivered(self, subscriber: str) -> int:
        """Return how many different messages have arrived."""
        return len(self._subscribers[subscriber].seen)

    # --- the verdict --------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Return what holds up to now; for messages still under way call it when none are."""
        return Verdict(
            answered=self._fates[Fate.ANSWERED],
            refused=self._fates[Fate.REFUSED],
            unknown=self._fates[Fate.UNKNOWN],
            subscribers={name: self._judge(one) for name, one in self._subscribers.items()},
            disagreements=_found(self._disagreements()),
        )

    def _judge(self, one: _Subscriber) -> SubscriberVerdict:
        counted = Counter((sent.publisher, sent.number) for sent, _ in one.arrived)
        lost = [
            sent.name
            for key, sent in self._sent.items()
            if sent.fate is Fate.ANSWERED and key not in counted and one.wants(sent)
        ]
        repeated = [
            f"{self._sent[key].name}, {times} times" for key, times in counted.items() if times > 1
        ]
        fates = Counter(self._sent[key].fate for key in counted)
        return SubscriberVerdict(
            delivered=fates[Fate.ANSWERED],
            delivered_unknown=fates[Fate.UNKNOWN],
            duplicates=_found(repeated, sum(counted.values()) - len(counted)),
            lost=_found(lost),
            out_of_order=_found(_out_of_order(one.arrived)),
            altered=_found(one.altered),
            foreign=_found(one.foreign),
            refused=_found(
                [self._sent[key].name for key in counted if self._sent[key].fate is Fate.REFUSED]
            ),
            drops_reported=sum(one.drops.values()),
        )

    def _disagreements(self) -> list[str]:
        """Return messages of one router and topic that two queues got in different orders."""
        first_seen: dict[tuple[str, str], tuple[str, dict[tuple[str, int], int]]] = {}
        found: list[str] = []
        for name, subscriber in self._subscribers.items():
            lanes: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
            for sent, origin in subscriber.arrived:
                lane = lanes.setdefault((origin, sent.topic), {})
                lane.setdefault((sent.publisher, sent.number), len(lane))
            for key, order in lanes.items():
                other_name, other = first_seen.setdefault(key, (name, order))
                last = -1
                for message in order:
                    place = other.get(message, last)
                    if place < last:
                        found.append(
                            f"{self._sent[message].name} came to {name} later than to {other_name}"
                        )
                    last = max(last, place)
        return found

    def _tick(self) -> int:
        self._step += 1
        return self._step


def _out_of_order(arrived: Sequence[tuple[_Sent, str]]) -> list[str]:
    """Return messages that came behind one that was sent after their fate was known.

    Only such pairs have an order that anybody can know: of two messages that were under way at the
    same time, either may be the first. A repeat is judged as a repeat only.
    """
    latest: dict[tuple[str, str], _Sent] = {}
    seen: set[tuple[str, int]] = set()
    found: list[str] = []
    for sent, origin in arrived:
        key = (sent.publisher, sent.number)
        if key in seen:
            continue
        seen.add(key)
        lane = (origin, sent.topic)
        before = latest.get(lane)
        if before is None or sent.sent_at > before.sent_at:
            latest[lane] = sent
        elif sent.settled_at is not None and sent.settled_at < before.sent_at:
            found.append(f"{sent.name} came after {before.name}")
    return found


def _payload(publisher: str, number: int, size_bytes: int) -> bytes:
    """Return content that nothing else has: the name, and noise that follows from it."""
    name = f"{publisher} {number} ".encode()
    return name + shake_128(name).digest(max(0, size_bytes - len(name)))


def _parse_name(payload: bytes) -> tuple[str, int] | None:
    publisher, _, rest = payload.partition(b" ")
    number, separator, _ = rest.partition(b" ")
    if not separator or not number.isdigit() or len(number) > 12:
        return None
    return publisher.decode(errors="replace"), int(number)


def _found(names: Sequence[str], count: int | None = None) -> Finding:
    return Finding(len(names) if count is None else count, tuple(names[:EXAMPLES_MAX]))
