"""A graph of grants as DOT, SVG and JSON.

Owns these forms, with a simple layout in columns by distance from the namespaces. Refuses to
collect. Fault model: names and resources are chosen by strangers: every text is escaped.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from wavemq.cli.wv.known_graph import Grant, KnownGraph
from wavemq.cli.wv.output import Json
from wavemq.cli.wv.rendering import hash_text, time_text
from wavemq.cli.wv.text import printable

COLUMN: Final = 360
ROW: Final = 64
BOX_WIDTH: Final = 140
BOX_HEIGHT: Final = 32
MARGIN: Final = 24
_TEXT_LIFT: Final = 4
_STYLE: Final = (
    "text{font:12px sans-serif}.box{fill:#eef3fa;stroke:#345}.own{fill:#dff0d8}"
    ".edge{fill:none;stroke:#567}.bad{stroke:#c22;stroke-dasharray:5 4}"
    ".badtext{fill:#c22}"
)


def graph_json(graph: KnownGraph) -> Iterator[dict[str, Json]]:
    """Yield one object for each entity and each grant."""
    for entity in graph.entities():
        yield {
            "kind": "entity",
            "hash": hash_text(entity),
            "name": graph.names.get(entity),
            "own": entity == graph.own,
        }
    for grant in _ordered(graph):
        yield {
            "kind": "grant",
            "hash": hash_text(grant.attestation),
            "attester": hash_text(grant.attester),
            "subject": hash_text(grant.subject),
            "namespace": hash_text(grant.namespace) if grant.namespace else None,
            "statements": [
                {
                    "permission_set": hash_text(one.permission_set),
                    "permissions": list(one.permissions),
                    "resource": one.resource,
                }
                for one in grant.statements
            ],
            "indirections": grant.indirections,
            "expires": time_text(grant.until_ms),
            "state": grant.state,
        }


def dot_lines(graph: KnownGraph) -> list[str]:
    """Return the graph in Graphviz' language."""
    lines = ["digraph wave {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for entity in graph.entities():
        fill = ', style=filled, fillcolor="#dff0d8"' if entity == graph.own else ""
        lines.append(
            f'  "{hash_text(entity)}" [label={_quoted(graph.label(entity))}, '
            f"tooltip={_quoted(hash_text(entity))}{fill}];"
        )
    for grant in _ordered(graph):
        bad = "" if grant.is_valid else ", style=dashed, color=red, fontcolor=red"
        lines.append(
            f'  "{hash_text(grant.attester)}" -> "{hash_text(grant.subject)}" '
            f"[label={_quoted(_edge_text(graph, grant))}{bad}];"
        )
    return [*lines, "}"]


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def svg_lines(graph: KnownGraph) -> list[str]:
    """Return the graph as a picture that needs no other program."""
    places = _places(graph)
    width = MARGIN * 2 + BOX_WIDTH + max((x for x, _ in places.values()), default=0)
    height = MARGIN * 2 + BOX_HEIGHT + max((y for _, y in places.values()), default=0)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="{-MARGIN} {-MARGIN} {width} {height}">'
        ),
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
            'orient="auto"><path d="M0,0L8,4L0,8z" fill="#567"/></marker></defs>'
        ),
    ]
    parallel: defaultdict[tuple[bytes, bytes], int] = defaultdict(int)
    for grant in _ordered(graph):
        pair = (grant.attester, grant.subject)
        lines += _edge(graph, grant, places[grant.attester], places[grant.subject], parallel[pair])
        parallel[pair] += 1
    for entity, (x, y) in places.items():
        kind = "box own" if entity == graph.own else "box"
        lines.append(
            f'<g><title>{_xml(hash_text(entity))}</title><rect class="{kind}" x="{x}" y="{y}" '
            f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text x="{x + BOX_WIDTH // 2}" y="{y + BOX_HEIGHT // 2 + _TEXT_LIFT}" '
            f'text-anchor="middle">{_xml(graph.label(entity))}</text></g>'
        )
    return [*lines, "</svg>"]


def _edge(
    graph: KnownGraph, grant: Grant, start: tuple[int, int], end: tuple[int, int], nth: int
) -> list[str]:
    """Return a curve with its text; several between the same two boxes are spread."""
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    bend = 18 * nth
    if x2 <= x1:  # back to the left, or to the same column: around below
        bend += BOX_HEIGHT
    middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2 + bend
    is_bad = not grant.is_valid
    return [
        (
            f'<path class="edge{" bad" if is_bad else ""}" marker-end="url(#tip)" '
            f'd="M{x1},{y1}Q{middle_x},{middle_y + bend},{x2},{y2}"/>'
        ),
        (
            f'<text x="{middle_x}" y="{middle_y - _TEXT_LIFT}" text-anchor="middle"'
            f"{' class=' + chr(34) + 'badtext' + chr(34) if is_bad else ''}>"
            f"{_xml(_edge_text(graph, grant))}</text>"
        ),
    ]


def _places(graph: KnownGraph) -> dict[bytes, tuple[int, int]]:
    """Return where each box stands: columns by distance from the namespaces."""
    outgoing: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for grant in graph.grants:
        outgoing[grant.attester].append(grant.subject)
    column: dict[bytes, int] = {}
    namespaces = dict.fromkeys(grant.namespace for grant in graph.grants if grant.namespace)
    for root in [*namespaces, *graph.entities()]:
        if root in column or (root not in namespaces and root in _subjects(graph)):
            continue
        column[root] = 0
        waiting = deque([root])
        while waiting:
            entity = waiting.popleft()
            for subject in outgoing[entity]:
                if subject not in column:
                    column[subject] = column[entity] + 1
                    waiting.append(subject)
    rows: defaultdict[int, int] = defaultdict(int)
    places = {}
    for entity in graph.entities():
        at = column.get(entity, 0)
        places[entity] = (at * COLUMN, rows[at] * ROW)
        rows[at] += 1
    for namespace in namespaces:
        if namespace not in places:
            places[namespace] = (0, rows[0] * ROW)
            rows[0] += 1
    return places


def _subjects(graph: KnownGraph) -> set[bytes]:
    return {grant.subject for grant in graph.grants}


def _ordered(graph: KnownGraph) -> list[Grant]:
    return sorted(graph.grants, key=lambda one: one.attestation)


def _edge_text(graph: KnownGraph, grant: Grant) -> str:
    state = "" if grant.is_valid else f" [{grant.state.upper()}]"
    return f"{graph.rights(grant)} until {time_text(grant.until_ms)[:10]}{state}"


def _xml(text: str) -> str:
    return escape(printable(text))
