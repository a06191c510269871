"""Fuzz targets: JEDI's topics, times, keys and messages."""

from __future__ import annotations

from functools import cache, partial
from typing import Final

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, each, expect
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import InvalidJEDIGrantError
from wavemq.wave import jedi, jedi_time
from wavemq.wave.bundle import ContentKey, KeyBundle
from wavemq.wave.jedi_delegation import Delegation, read_delegation
from wavemq.wave.partition import SLOTS, Partition, matches
from wavemq.wave.validity import Validity

_AT: Final = 1_795_000_000
_HOUR: Final = 3600


def _uri(given: bytes) -> None:
    """Read a resource as a grant and as a message; where it is both, the one opens the other."""
    text = given.decode("utf-8", "surrogateescape")
    each(lambda: jedi.grant_components(text), lambda: jedi.message_pattern(text, _AT))
    wanted = jedi.message_pattern(text, _AT)
    expect(fact=len(wanted) == SLOTS, otherwise="a pattern of another length")
    period = Validity(
        Instant(_AT * NANOSECONDS_PER_SECOND), Instant((_AT + 60) * NANOSECONDS_PER_SECOND)
    )
    held = jedi.grant_patterns(jedi.uri_components(text), {jedi.DECRYPT}, period)
    expect(fact=any(matches(one, wanted) for one in held), otherwise="a grant misses its topic")


def _times(given: bytes) -> None:
    """Cover a period; every hour at its edge is covered, and none beyond it."""
    first = int.from_bytes(given[:8], "little", signed=True)
    last = int.from_bytes(given[8:16], "little", signed=True)
    prefixes = jedi_time.time_prefixes(first, last)
    expect(fact=len(prefixes) <= 400, otherwise=f"{len(prefixes)} prefixes for one period")
    for inside in (first, last, (first + last) // 2):
        expect(fact=_is_covered(inside, prefixes), otherwise=f"{inside} is not covered")
    begin, end = first // _HOUR * _HOUR - 1, last // _HOUR * _HOUR + _HOUR
    for outside in (begin, end):
        expect(fact=not _is_covered(outside, prefixes), otherwise=f"{outside} is covered too")


def _is_covered(at_s: int, prefixes: list[jedi_time.TimePrefix]) -> bool:
    try:
        hour = jedi_time.time_of(at_s)
    except InvalidJEDIGrantError:
        return False
    return any(hour[: len(prefix)] == prefix for prefix in prefixes)


def _periods() -> list[bytes]:
    lengths = (0, _HOUR, 30 * 86_400, 1095 * 86_400)
    return [
        _AT.to_bytes(8, "little", signed=True) + (_AT + one).to_bytes(8, "little", signed=True)
        for one in lengths
    ]


@cache
def _wanted() -> Partition:
    return jedi.message_pattern("a/b", _AT)


@cache
def _held_key() -> ContentKey:
    owner = seeds.secret_of("ns")
    key = owner.oaque_master.derive(owner.entity.oaque_params, _wanted())
    return ContentKey(_wanted(), key.to_bytes())


def _message(given: bytes) -> None:
    """Open an encrypted key as the namespace and as a reader, and content after it."""
    owner = seeds.secret_of("ns")
    params = owner.entity.oaque_params
    encrypted, sealed = given[: jedi.ENCRYPTED_KEY_BYTES], given[jedi.ENCRYPTED_KEY_BYTES :]
    # Of a ciphertext that nobody made as he should, each holder may get other noise.
    each(
        lambda: jedi.open_with(
            jedi.unlock_with_master(params, owner.oaque_master, _wanted(), encrypted), sealed
        ),
        lambda: jedi.open_with(jedi.unlock(params, _held_key(), _wanted(), encrypted), sealed),
    )


def _messages() -> list[bytes]:
    key = jedi.new_message_key(seeds.entity_of("ns").oaque_params, _wanted())
    return [key.encrypted + jedi.seal_with(key.secret, b"content")]


def _reader_key(given: bytes) -> None:
    """Use any bytes as a held key: what does not fit is refused, and gives no noise."""
    key = ContentKey(_wanted(), given)
    params = seeds.entity_of("ns").oaque_params
    sealed = jedi.new_message_key(params, _wanted())
    opened = jedi.unlock(params, key, _wanted(), sealed.encrypted)
    expect(fact=opened == sealed.secret, otherwise="a key that does not fit gives noise")


def _delegation(given: bytes) -> None:
    """Read the keys of a newer writer's grant, and use the first."""
    delegation = read_delegation(given)
    again = read_delegation(_encoded(delegation))
    expect(fact=again == delegation, otherwise="does not survive encoding")
    params = seeds.entity_of("ns").oaque_params
    sealed = jedi.new_message_key(params, _wanted())
    for key in delegation.bundle.keys[:1]:
        each(partial(jedi.unlock, params, key, _wanted(), sealed.encrypted), lambda: None)


def _encoded(delegation: Delegation) -> bytes:
    """Return a delegation as newer writers encode it (crypto.md 6.5)."""
    keys = delegation.bundle.keys
    entries = [_block(_pattern(key.pattern)) + _block(key.secret) for key in keys]
    head = b"\x02" + _block(delegation.namespace.to_bytes()) + _block(delegation.bundle.params)
    return head + _number(len(keys)) + b"".join(entries)


def _pattern(slots: Partition) -> bytes:
    fixed = [(index, slot) for index, slot in enumerate(slots) if slot]
    past = fixed[-1][0] + 1 if fixed else 0
    listed = b"".join(_number(index) + _block(slot) for index, slot in fixed)
    return b"\x01" + _number(len(slots)) + _number(past) + listed


def _block(content: bytes) -> bytes:
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _delegations() -> list[bytes]:
    namespace = seeds.entity_of("ns")
    bundle = KeyBundle(namespace.oaque_params_bytes, (_held_key(),))
    return [_encoded(Delegation(namespace.hash, bundle))]


TARGETS: Final = (
    Target("jedi_delegation", _delegation, _delegations, 100),
    Target("jedi_uri", _uri, lambda: [b"a/b/c", b"a/+/*", b"/".join([b"a"] * 14), b"$"], 800),
    Target("jedi_times", _times, _periods, 400, size_max=16),
    Target("jedi_message", _message, _messages, 60),
    Target("jedi_reader_key", _reader_key, lambda: [_held_key().secret], 60),
)
