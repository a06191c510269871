"""Keys made and opened in bulk: as one by one, each fresh, and nothing unsound taken."""

from __future__ import annotations

import pytest

from wavemq import _kernel
from wavemq.crypto import lqibe, wkdibe
from wavemq.crypto.encapsulation import (
    Opener,
    Openers,
    Target,
    decapsulate_many,
    encapsulate_many,
    identity_target,
    pattern_target,
)
from wavemq.errors import MalformedObjectError, MalformedPartitionError

KEY_BYTES = 28
IDENTITY = b"identity"
FULL: wkdibe.Pattern = tuple(b"%d" % slot for slot in range(20))
SPARSE: wkdibe.Pattern = (b"tag", b"", b"x", *(b"",) * 16, b"end")
PARAMS, MASTER = wkdibe.setup()
IBE_PARAMS, IBE_MASTER = lqibe.setup()
PARENT = MASTER.derive(PARAMS, (FULL[0], *(b"",) * 19)).to_bytes()
IBE_KEY = IBE_MASTER.extract(IDENTITY)
POINT = lqibe.identity_point(IDENTITY)


def pattern_opener() -> Opener:
    return Openers().of_pattern(PARENT, FULL)


def identity_opener() -> Opener:
    return Openers().of_identity(IBE_KEY.to_bytes(), POINT)


def test_keys_of_patterns_made_in_bulk_open_one_by_one_and_in_bulk() -> None:
    made = encapsulate_many([pattern_target(PARAMS, FULL)] * 20, KEY_BYTES)
    ciphertexts = [ciphertext for _, ciphertext in made]
    keys: list[bytes | None] = [key for key, _ in made]
    holder = wkdibe.SecretKey(PARENT)
    for key, ciphertext in made:
        assert key == wkdibe.decapsulate(holder, PARAMS, FULL, ciphertext, KEY_BYTES)
        assert key == wkdibe.decapsulate(MASTER, PARAMS, FULL, ciphertext, KEY_BYTES)
    for opener in (pattern_opener(), Openers().of_pattern_master(MASTER)):
        assert decapsulate_many([(opener, one) for one in ciphertexts], KEY_BYTES) == keys


def test_keys_made_one_by_one_open_in_bulk() -> None:
    key, ciphertext = wkdibe.encapsulate(PARAMS, FULL, KEY_BYTES)
    assert decapsulate_many([(pattern_opener(), ciphertext)], KEY_BYTES) == [key]
    key, ciphertext = _kernel.lq_encapsulate(IBE_PARAMS.to_bytes(), IDENTITY, KEY_BYTES)
    assert decapsulate_many([(identity_opener(), ciphertext)], KEY_BYTES) == [key]


def test_keys_of_identities_made_in_bulk_open_one_by_one_and_in_bulk() -> None:
    made = encapsulate_many([identity_target(IBE_PARAMS, IDENTITY)] * 20, KEY_BYTES)
    for key, ciphertext in made:
        assert key == _kernel.lq_decapsulate(IBE_KEY.to_bytes(), POINT, ciphertext, KEY_BYTES)
    openers = (identity_opener(), Openers().of_identity_master(IBE_MASTER, IDENTITY))
    for opener in openers:
        found = decapsulate_many([(opener, ciphertext) for _, ciphertext in made], KEY_BYTES)
        assert found == [key for key, _ in made]


def test_every_encapsulation_is_fresh() -> None:
    both: tuple[Target, Target] = (
        pattern_target(PARAMS, FULL),
        identity_target(IBE_PARAMS, IDENTITY),
    )
    targets = both * 50
    made = encapsulate_many(targets, KEY_BYTES) + encapsulate_many(targets, KEY_BYTES)
    assert len({key for key, _ in made}) == len({ciphertext for _, ciphertext in made}) == 200
    # Every part of a ciphertext comes from the message's own scalars.
    patterns = [ciphertext for _, ciphertext in made[::2]]
    for part in (slice(0, 576), slice(576, 672), slice(672, 720)):
        assert len({one[part] for one in patterns}) == len(patterns)


def test_results_are_in_the_order_of_what_was_asked() -> None:
    other = pattern_target(PARAMS, SPARSE)
    made = encapsulate_many([pattern_target(PARAMS, FULL), other] * 8, KEY_BYTES)
    openers = [pattern_opener(), Openers().of_pattern_master(MASTER)] * 8
    found = decapsulate_many(
        [(opener, one) for opener, (_, one) in zip(openers, made, strict=True)], KEY_BYTES
    )
    assert found == [key for key, _ in made]


def test_another_pattern_or_identity_gives_another_key() -> None:
    ((key, ciphertext),) = encapsulate_many([pattern_target(PARAMS, SPARSE)], KEY_BYTES)
    assert decapsulate_many([(pattern_opener(), ciphertext)], KEY_BYTES) not in ([key], [None])
    ((key, ciphertext),) = encapsulate_many([identity_target(IBE_PARAMS, b"other")], KEY_BYTES)
    assert decapsulate_many([(identity_opener(), ciphertext)], KEY_BYTES) not in ([key], [None])


def test_unsound_ciphertexts_give_none_and_harm_no_other() -> None:
    ((key, sound),) = encapsulate_many([pattern_target(PARAMS, FULL)], KEY_BYTES)
    # On the curve and outside of the group.
    second, first = _kernel.map_to_g2(bytes(95) + b"\x01"), _kernel.map_to_g1(bytes(47) + b"\x01")
    opener = pattern_opener()
    unsound = [
        b"",
        sound[:-1],
        sound + b"\x00",
        sound[:576] + second + sound[672:],
        sound[:672] + first,
        bytes(575) + b"\x02" + sound[576:],
        bytes(576) + sound[576:],
        sound[:576] + bytes(144),
    ]
    jobs: list[tuple[Opener, bytes]] = []
    for one in unsound:
        jobs += [(opener, one), (opener, sound)]
    assert decapsulate_many(jobs, KEY_BYTES) == [None, key] * len(unsound)
    for bad in (b"", second, second[:-1], bytes(96)):
        assert decapsulate_many([(identity_opener(), bad)], KEY_BYTES) == [None]


def test_infinity_is_in_the_group_and_pairs_to_one() -> None:
    infinite = b"\xc0" + bytes(95)
    found = decapsulate_many([(identity_opener(), infinite)], KEY_BYTES)
    assert found == [_kernel.lq_decapsulate(IBE_KEY.to_bytes(), POINT, infinite, KEY_BYTES)]
    ((_, sound),) = encapsulate_many([pattern_target(PARAMS, FULL)], KEY_BYTES)
    without = sound[:576] + infinite + b"\xc0" + bytes(47)
    alone = wkdibe.decapsulate(wkdibe.SecretKey(PARENT), PARAMS, FULL, without, KEY_BYTES)
    assert decapsulate_many([(pattern_opener(), without)], KEY_BYTES) == [alone]


def test_unsound_targets_and_keys_are_refused() -> None:
    with pytest.raises(MalformedObjectError):
        identity_target(lqibe.Params(bytes(192)), IDENTITY)
    with pytest.raises(MalformedPartitionError):
        pattern_target(PARAMS, FULL[:19])
    openers = Openers()
    with pytest.raises(MalformedPartitionError):
        openers.of_pattern(PARENT, FULL[:19])
    with pytest.raises(MalformedObjectError):
        openers.of_pattern(bytes(len(PARENT)), FULL)
    with pytest.raises(MalformedObjectError):
        openers.of_identity(bytes(48), POINT)
    assert len(openers) == 0


def test_openers_forget_the_one_that_was_not_used_longest() -> None:
    openers = Openers(entries_max=2)
    first = openers.of_pattern(PARENT, FULL)
    second = openers.of_pattern_master(MASTER)
    assert openers.of_pattern(PARENT, FULL) is first
    openers.of_identity(IBE_KEY.to_bytes(), POINT)
    assert len(openers) == 2
    assert openers.of_pattern(PARENT, FULL) is first
    assert openers.of_pattern_master(MASTER) is not second


def test_openers_tell_keys_and_patterns_apart() -> None:
    openers = Openers()
    other = MASTER.derive(PARAMS, (FULL[0], *(b"",) * 19)).to_bytes()
    first = openers.of_pattern(PARENT, FULL)
    assert openers.of_pattern(other, FULL) is not first
    assert openers.of_pattern(PARENT, (FULL[0], *SPARSE[1:])) is not first


def test_openers_show_no_secret() -> None:
    assert repr(pattern_opener()) == "WkdOpener(...)"
    assert repr(identity_opener()) == "LqOpener(...)"
