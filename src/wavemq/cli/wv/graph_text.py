"""A graph of grants as a tree of lines.

Owns its lines and colours. Refuses to collect. Fault model: the graph may have cycles and many ways
to one entity: each entity's grants are shown once, and referred to elsewhere; depth is bounded.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from wavemq.cli.wv.known_graph import Grant, KnownGraph
from wavemq.cli.wv.rendering import hash_text
from wavemq.cli.wv.text import printable

LINES_MAX: Final = 20_000
_BRANCH, _LAST, _BAR, _GAP = "├─ ", "└─ ", "│  ", "   "
_RED, _BOLD, _RESET = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def tree_lines(graph: KnownGraph, *, is_coloured: bool) -> list[str]:
    """Return the tree: one root for each namespace, and for attesters that nobody grants to.

    Args:
        graph: to be shown.
        is_coloured: whether a terminal shows the lines.
    """
    drawing = _Drawing(graph, is_coloured=is_coloured)
    for root in _roots(graph):
        drawing.root(root)
    if not graph.grants:
        drawing.lines.append(f"{drawing.entity(graph.own)} knows no grants")
    if not graph.is_whole:
        drawing.lines.append("... and more: the graph is too large to be shown whole")
    drawing.legend()
    return drawing.lines


def _roots(graph: KnownGraph) -> list[bytes]:
    """Return where trees begin: namespaces, then whoever else is not reached from one."""
    namespaces = [grant.namespace for grant in graph.grants if grant.namespace]
    roots = list(dict.fromkeys(namespaces))
    outgoing: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for grant in graph.grants:
        outgoing[grant.attester].append(grant.subject)
    reached: set[bytes] = set()
    for attester in [*roots, *outgoing]:
        if attester in reached:
            continue
        if attester not in roots:
            roots.append(attester)
        waiting = [attester]
        while waiting:
            entity = waiting.pop()
            if entity not in reached:
                reached.add(entity)
                waiting += outgoing[entity]
    return [root for root in roots if outgoing[root]]


class _Drawing:
    def __init__(self, graph: KnownGraph, *, is_coloured: bool) -> None:
        self.graph = graph
        self.lines: list[str] = []
        self._is_coloured = is_coloured
        self._shown: set[bytes] = set()
        self._outgoing: defaultdict[bytes, list[Grant]] = defaultdict(list)
        for grant in graph.grants:
            self._outgoing[grant.attester].append(grant)
        for grants in self._outgoing.values():
            grants.sort(key=lambda one: (graph.label(one.subject), one.attestation))

    def entity(self, entity: bytes) -> str:
        label = printable(self.graph.label(entity))
        return f"{label} (you)" if entity == self.graph.own else label

    def root(self, entity: bytes) -> None:
        self.lines.append(self._paint(_BOLD, self.entity(entity)))
        self._shown.add(entity)
        # Not recursive: a chain may be longer than the interpreter's stack.
        waiting = [(grant, "", is_last) for grant, is_last in self._children(entity)]
        while waiting and len(self.lines) < LINES_MAX:
            grant, indent, is_last = waiting.pop(0)
            self.lines.append(indent + (_LAST if is_last else _BRANCH) + self._line(grant))
            if grant.subject not in self._shown:
                self._shown.add(grant.subject)
                below = indent + (_GAP if is_last else _BAR)
                waiting[:0] = [(one, below, last) for one, last in self._children(grant.subject)]

    def legend(self) -> None:
        """Say which whole hash each label stands for."""
        entities = self.graph.entities()
        self.lines += ["", *(f"{self.entity(one)} = {hash_text(one)}" for one in entities)]

    def _children(self, entity: bytes) -> list[tuple[Grant, bool]]:
        grants = self._outgoing[entity]
        return [(grant, grant is grants[-1]) for grant in grants]

    def _line(self, grant: Grant) -> str:
        rights = printable(self.graph.rights(grant))
        text = f"{self.entity(grant.subject)}: {rights}, {grant.ending}"
        if grant.subject in self._shown and self._outgoing[grant.subject]:
            text += " (shown above)"
        if not grant.is_valid:
            return self._paint(_RED, f"{text} [{grant.state.upper()}]")
        return text

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._is_coloured else text
