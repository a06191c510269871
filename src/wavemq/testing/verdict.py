"""What a history shows of a run: counts that must be zero, and examples where they are not.

Owns the figures and their text. Refuses to know how they were found. Fault model: none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """How often something happened.

    Args:
        count: of all cases.
        examples: the first few, one sentence each.
    """

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubscriberVerdict:
    """What one queue got.

    Args:
        delivered: different messages whose publish was answered.
        delivered_unknown: different messages whose publisher had no answer.
        duplicates: deliveries of a message beyond its first.
        lost: answered, wanted, and not delivered.
        out_of_order: delivered behind a message of the same router and topic that was sent only
            after this one's fate was known.
        altered: delivered with another content or on another topic.
        foreign: deliveries that no publisher of the history sent, or that were not asked for.
        refused: delivered although the router had refused them.
        drops_reported: what the messages' own counts of drops say, over all hops.
    """

    delivered: int
    delivered_unknown: int
    duplicates: Finding
    lost: Finding
    out_of_order: Finding
    altered: Finding
    foreign: Finding
    refused: Finding
    drops_reported: int

    def complaints(self) -> Iterator[str]:
        """Yield a sentence for each promise that was not kept."""
        for what, finding in (
            ("lost", self.lost),
            ("duplicates", self.duplicates),
            ("out of order", self.out_of_order),
            ("altered", self.altered),
            ("foreign", self.foreign),
            ("delivered though refused", self.refused),
        ):
            yield from _complaint(what, finding)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a whole run.

    Args:
        answered: messages whose publish was answered.
        refused: messages that a router refused.
        unknown: messages whose publisher had no answer.
        subscribers: by name.
        disagreements: messages of one router and topic that two queues got in different orders.
    """

    answered: int
    refused: int
    unknown: int
    subscribers: Mapping[str, SubscriberVerdict]
    disagreements: Finding

    @property
    def duplicates(self) -> int:
        """Deliveries beyond the first, to all queues."""
        return sum(one.duplicates.count for one in self.subscribers.values())

    @property
    def lost(self) -> int:
        """Answered messages that a queue did not get, over all queues."""
        return sum(one.lost.count for one in self.subscribers.values())

    @property
    def out_of_order(self) -> int:
        """Messages behind their place, over all queues."""
        behind = sum(one.out_of_order.count for one in self.subscribers.values())
        return behind + self.disagreements.count

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept: nothing lost, repeated, behind, altered or foreign."""
        return not self.complaints()

    def complaints(self) -> tuple[str, ...]:
        """Return a sentence for each promise that was not kept."""
        found = [
            f"{name}: {sentence}"
            for name, one in self.subscribers.items()
            for sentence in one.complaints()
        ]
        found += _complaint("orders that differ between queues", self.disagreements)
        return tuple(found)

    def summary(self) -> str:
        """Return the run in a few lines."""
        lines = [f"answered {self.answered}, refused {self.refused}, unknown {self.unknown}"]
        lines += [
            f"{name}: delivered {one.delivered} (and {one.delivered_unknown} unknown), "
            f"out of order {one.out_of_order.count}, duplicates {one.duplicates.count}, "
            f"lost {one.lost.count}"
            for name, one in self.subscribers.items()
        ]
        return "\n".join((*lines, *self.complaints()))


def _complaint(what: str, finding: Finding) -> Iterator[str]:
    if finding.count:
        shown = "; ".join(finding.examples)
        yield f"{finding.count} {what}, such as {shown}"
