"""Fuzz targets: name declarations, their bodies and envelopes, and full names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, each, expect
from wavemq.clock import Instant
from wavemq.crypto.symmetric import seal
from wavemq.wave import der, name
from wavemq.wave.location import Location
from wavemq.wave.validity import Validity

_CONTENT_KEY = bytes(28)


def _declaration(given: bytes) -> None:
    declaration = name.NameDeclaration.from_bytes(given)
    if b"-----BEGIN" not in given:
        expect(fact=declaration.wire == given, otherwise="another wire object")
    head = declaration.attester.to_der() + declaration.attester_location.to_der()
    head += der.sequence(*(option.to_der() for option in declaration.revocations))
    expect(fact=head in declaration.tbs, otherwise="the head encodes to other bytes")
    name.name_revocation_blob(bytes(64), declaration)
    attempts: list[Callable[[], object]] = [
        partial(name.check_name_signature, declaration, seeds.entity_of(who))
        for who in ("ns", "alice", "bob")
    ]
    attempts += [
        partial(name.open_name, declaration, seeds.secret_of(who), lambda _: None)
        for who in ("alice", "bob")
    ]
    attempts.append(partial(name.open_name_with_key, declaration, _CONTENT_KEY * 2))
    each(*attempts, lambda: None)


def _body(given: bytes) -> None:
    body = name.NameBody.from_bytes(given)
    expect(fact=name.NameBody.from_bytes(body.to_der()) == body, otherwise="another body")
    sealed = replace(_closed(), content=seal(_CONTENT_KEY, given))
    opened = name.open_name_body(sealed, _CONTENT_KEY)
    expect(fact=opened == body, otherwise="sealing changes it")


@cache
def _closed() -> name.NameDeclaration:
    known = map(name.NameDeclaration.from_bytes, seeds.name_declarations())
    return next(one for one in known if not one.is_public)


def _bodies() -> list[bytes]:
    subject = seeds.entity_of("bob").hash
    location = Location("http://localhost/v1")
    period = Validity(Instant(0), Instant(10**18))
    return [name.NameBody("bob", subject, location, period).to_der()]


def _full_name(given: bytes) -> None:
    text = given.decode("utf-8", "surrogateescape")
    parts = name.split_full_name(text)
    expect(fact=".".join(reversed(parts)) == text, otherwise="another name")


TARGETS = (
    Target("name_declaration", _declaration, seeds.name_declarations, 300),
    Target("name_body", _body, _bodies, 800),
    Target("full_name", _full_name, lambda: [b"light.kitchen", b"a\n", b"a..b"], 800),
)
