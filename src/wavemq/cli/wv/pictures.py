"""`graph` and `explain`: seeing what a perspective knows, and why it can or cannot do a thing.

Owns what these commands print. Refuses to collect, draw and reason by itself. Fault model: storage
may be away; what is known is then shown, and the user is told.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wavemq.agent import calls
from wavemq.cli.wv.explaining import Explanation, Wish, explain
from wavemq.cli.wv.files import PUBLIC_MODE, replace_file
from wavemq.cli.wv.graph_drawing import dot_lines, graph_json, svg_lines
from wavemq.cli.wv.graph_text import tree_lines
from wavemq.cli.wv.identities import identify, identify_statements
from wavemq.cli.wv.known_graph import Grant, KnownGraph, collect
from wavemq.cli.wv.output import Json
from wavemq.cli.wv.rendering import hash_text, time_text
from wavemq.cli.wv.session import Session, perspective_of
from wavemq.cli.wv.text import parse_statements, printable
from wavemq.errors import NoProofFoundError
from wavemq.wire import wave_pb2 as pb

FORMATS: Final = ("text", "dot", "svg", "json")
_MARKERS: Final = {"svg": b"<svg ", "dot": b"digraph "}


async def draw(
    session: Session,
    *,
    perspective_file: str,
    passphrase: str,
    is_synchronized: bool,
    form: str,
    outfile: str,
) -> None:
    """Draw what a perspective knows.

    Raises:
        UsageFaultError: the file is no entity secret, or the picture cannot be written.
        WaveMQError: the perspective cannot be used, or storage failed.
    """
    perspective = perspective_of(perspective_file, "perspective", passphrase)
    if is_synchronized:
        await session.synchronize_quietly(perspective)
    graph = await collect(session, perspective)
    if session.output.is_json or form == "json":
        for fields in graph_json(graph):
            session.output.object(fields)
        return
    if form == "text":
        is_coloured = sys.stdout.isatty() and not outfile
        lines = tree_lines(graph, is_coloured=is_coloured)
    else:
        lines = dot_lines(graph) if form == "dot" else svg_lines(graph)
    if not outfile:
        session.output.lines(lines)
        return
    content = "\n".join([*lines, ""]).encode()
    replace_file(Path(outfile), content, marker=_MARKERS.get(form, b""), mode=PUBLIC_MODE)
    session.output.line(f"wrote graph: {outfile}")


async def show_why(
    session: Session,
    arguments: Sequence[str],
    *,
    subject: str,
    perspective_file: str,
    passphrase: str,
    is_synchronized: bool,
) -> bool:
    """Explain why an entity can or cannot do things; return whether it can do all of them.

    Raises:
        UsageFaultError: an argument is wrong.
        WaveMQError: the perspective cannot be used, or storage failed.
    """
    typed = parse_statements(arguments)
    perspective = perspective_of(perspective_file, "subject", passphrase)
    if is_synchronized:
        await session.synchronize_quietly(perspective)
    namespace, statements = await identify_statements(session, typed, perspective)
    graph = await collect(session, perspective)
    whom = (await identify(session, subject, perspective)).to_bytes() if subject else graph.own
    is_granted = True
    for statement in statements:
        for permission in statement.permissions:
            wish = Wish(
                namespace.to_bytes(),
                statement.permissionSet,
                permission,
                statement.resource,
                whom,
            )
            is_granted &= await _show_one(session, perspective, graph, wish)
    return is_granted


async def _show_one(
    session: Session, perspective: pb.Perspective, graph: KnownGraph, wish: Wish
) -> bool:
    proof = await _proof(session, perspective, wish)
    found = explain(graph, wish)
    what = f"{graph.set_label(wish.permission_set)}:{wish.permission} on {printable(wish.resource)}"
    under = f"under {printable(graph.label(wish.namespace))}"
    who = printable(graph.label(wish.subject))
    fields: dict[str, Json] = {
        "kind": "explanation",
        "granted": proof is not None,
        "subject": hash_text(wish.subject),
        "namespace": hash_text(wish.namespace),
        "permission_set": hash_text(wish.permission_set),
        "permission": wish.permission,
        "resource": wish.resource,
    }
    if proof is not None:
        chains = _chains(graph, proof)
        session.output.line(f"{who} can do {what} {under}, until {time_text(proof.expiry)}:")
        for chain in chains:
            session.output.lines(_chain_lines(graph, chain, wish.namespace))
        session.output.result(
            fields
            | {
                "expires": time_text(proof.expiry),
                "paths": [[hash_text(one.attestation) for one in chain] for chain in chains],
            }
        )
        return True
    session.output.line(f"{who} cannot do {what} {under}.")
    session.output.lines(_missing_lines(graph, wish, found))
    missing: Json = None
    if found.granter is not None and found.receiver is not None:
        missing = {"from": hash_text(found.granter), "to": hash_text(found.receiver)}
    session.output.result(
        fields
        | {
            "reach": [hash_text(one.attestation) for one in found.reach],
            "missing": missing,
            "obstacles": [
                {"grant": hash_text(one.grant.attestation), "reason": one.reason}
                for one in found.obstacles
            ],
        }
    )
    return False


async def _proof(session: Session, perspective: pb.Perspective, wish: Wish) -> pb.Proof | None:
    """Return the proof of a wish, None where there is none."""
    statement = pb.RTreePolicyStatement(
        permissionSet=wish.permission_set, permissions=(wish.permission,), resource=wish.resource
    )
    request = pb.BuildRTreeProofParams(
        perspective=perspective,
        subjectHash=wish.subject,
        namespace=wish.namespace,
        statements=(statement,),
    )
    try:
        return (await session.ask(calls.BUILD_RTREE_PROOF, request)).result
    except NoProofFoundError:
        return None


def _chains(graph: KnownGraph, proof: pb.Proof) -> list[list[Grant]]:
    """Return the paths of a proof as grants that are known."""
    known = {grant.attestation: grant for grant in graph.grants}
    hashes = [element.hash for element in proof.elements]
    return [
        [known[hashes[index]] for index in path.elements if hashes[index] in known]
        for path in proof.paths
    ]


def _chain_lines(graph: KnownGraph, chain: Sequence[Grant], namespace: bytes) -> list[str]:
    links = (
        f"  → {printable(graph.label(grant.subject))}: {printable(graph.rights(grant))}, "
        f"{grant.ending}"
        for grant in chain
    )
    return [f"  {printable(graph.label(namespace))}", *links]


def _missing_lines(graph: KnownGraph, wish: Wish, found: Explanation) -> list[str]:
    lines = []
    if wish.subject == wish.namespace:
        return [
            "The namespace itself needs no proof and can have none: grant to a separate entity."
        ]
    if found.reach:
        lines.append("The permission reaches as far as:")
        lines += _chain_lines(graph, found.reach, wish.namespace)
    if found.rest:
        lines.append("From there on it would be passed on:")
        lines += [f"  {line.strip()}" for line in _chain_lines(graph, found.rest, b"")[1:]]
    if found.granter is not None and found.receiver is not None:
        hops = len(found.rest)
        granter, receiver = hash_text(found.granter), hash_text(found.receiver)
        needs = f" --indirections {hops}" if hops else ""
        lines += [
            (
                f"Missing: a grant from {printable(graph.label(found.granter))} "
                f"to {printable(graph.label(found.receiver))}. "
                "With the granter's secret:"
            ),
            (
                f"  wv rtgrant --attester SECRET_OF_{granter} --subject {receiver}{needs} "
                f"{_set_argument(graph, wish)}:{wish.permission}@{hash_text(wish.namespace)}/"
                f"{printable(wish.resource)}"
            ),
        ]
    if found.obstacles:
        lines.append("In the way:")
        lines += [
            f"  {hash_text(one.grant.attestation)} "
            f"({printable(graph.label(one.grant.attester))} → "
            f"{printable(graph.label(one.grant.subject))}: "
            f"{printable(graph.rights(one.grant))}) {one.reason}"
            for one in found.obstacles
        ]
    return lines


def _set_argument(graph: KnownGraph, wish: Wish) -> str:
    label = graph.set_label(wish.permission_set)
    return hash_text(wish.permission_set) if "…" in label else label
