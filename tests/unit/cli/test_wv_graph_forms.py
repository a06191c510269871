"""A graph as tree, DOT, SVG and JSON: what must be seen in each, whatever strangers wrote."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from wavemq.cli.wv.graph_drawing import dot_lines, graph_json, svg_lines
from wavemq.cli.wv.graph_text import tree_lines
from wavemq.cli.wv.known_graph import Grant, KnownGraph, Statement
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash

SET = WAVEMQ_PERMISSION_SET.to_bytes()
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def one(name: str) -> bytes:
    return Hash.of(name.encode()).to_bytes()


def grant(attester: str, subject: str, *, state: str = "valid", resource: str = "a/*") -> Grant:
    return Grant(
        attestation=one(f"{attester} {subject}"),
        attester=one(attester),
        subject=one(subject),
        namespace=one("acme"),
        statements=(Statement(SET, ("publish", "query"), resource),),
        indirections=2,
        until_ms=20_000 * DAY_MS,
        state=state,
    )


def graph_of(*grants: Grant, own: str = "carol") -> KnownGraph:
    people = ("acme", "alice", "bob", "carol")
    return KnownGraph(one(own), grants, {one(name): name for name in people}, is_whole=True)


WORLD = graph_of(
    grant("acme", "alice"),
    grant("alice", "bob", state="revoked"),
    grant("alice", "carol", state="expired"),
    grant("carol", "alice"),
)


def test_tree_begins_at_the_namespace_and_marks_what_does_not_count() -> None:
    lines = tree_lines(WORLD, is_coloured=False)
    until = "until 2024-10-04 00:00:00 +0000 UTC, 2 more hops"
    rights = "wavemq:publish,query on a/*"
    assert lines[:5] == [
        "acme",
        f"└─ alice: {rights}, {until}",
        f"   ├─ bob: {rights}, {until} [REVOKED]",
        f"   └─ carol (you): {rights}, {until} [EXPIRED]",
        f"      └─ alice: {rights}, {until} (shown above)",
    ]
    assert f"bob = {Hash.from_bytes(one('bob')).to_text()}" in lines


def test_colours_are_for_terminals() -> None:
    assert not any("\x1b" in line for line in tree_lines(WORLD, is_coloured=False))
    coloured = tree_lines(WORLD, is_coloured=True)
    assert all("\x1b[31m" in line for line in coloured if "REVOKED" in line)


def test_grants_that_no_namespace_reaches_are_shown_too() -> None:
    lines = tree_lines(graph_of(grant("bob", "carol")), is_coloured=False)
    assert lines[0] == "bob"
    assert "carol (you)" in lines[1]


def test_empty_graph_says_so() -> None:
    assert tree_lines(graph_of(), is_coloured=False)[0] == "carol (you) knows no grants"


def test_deep_chain_is_no_problem() -> None:
    chain = [grant("acme" if level == 0 else f"e{level}", f"e{level + 1}") for level in range(3000)]
    lines = tree_lines(graph_of(*chain), is_coloured=False)
    assert sum("─" in line for line in lines) == 3000
    assert ET.fromstring("\n".join(svg_lines(graph_of(*chain)))) is not None


def test_picture_is_sound_and_has_every_entity_and_grant() -> None:
    root = ET.fromstring("\n".join(svg_lines(WORLD)))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{space}rect")) == 4
    assert len(root.findall(f"./{space}path")) == 4
    texts = [element.text or "" for element in root.iter(f"{space}text")]
    assert sum("[REVOKED]" in text for text in texts) == 1
    assert {"acme", "alice", "bob", "carol"} <= set(texts)


def test_strangers_cannot_break_out_of_a_form() -> None:
    evil = '"]; evil [label="</text><script>\x1b[2J\n'
    graph = graph_of(grant("acme", "alice", resource=evil))
    root = ET.fromstring("\n".join(svg_lines(graph)))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    dot = "\n".join(dot_lines(graph))
    assert "\x1b" not in dot
    assert len(dot.splitlines()) == len(dot_lines(graph))
    assert not any(line.lstrip().startswith("evil") for line in dot.splitlines())
    assert all(
        "\x1b" not in line and "\n" not in line for line in tree_lines(graph, is_coloured=False)
    )


def test_objects_for_programs_are_complete() -> None:
    objects = list(graph_json(WORLD))
    assert [one["kind"] for one in objects] == ["entity"] * 4 + ["grant"] * 4
    assert {one["state"] for one in objects if one["kind"] == "grant"} == {
        "valid", "revoked", "expired",
    }  # fmt: skip
    assert [one["own"] for one in objects[:4]] == [True, False, False, False]
