"""A protected keyring that does not open says one thing, whatever is wrong (wave.md 3.3)."""

from __future__ import annotations

import pytest

from tests.support.worlds import make_entity
from wavemq.crypto import symmetric
from wavemq.errors import Code, KeyringDecryptError, PassphraseRequiredError
from wavemq.wave import der
from wavemq.wave.entity import ENTITY_SECRET_KIND
from wavemq.wave.keyring import EntitySecret

ONE_LINE = "could not decrypt entity secrets (decryption failed)"
SALT = bytes(range(16))
ITERATIONS = 10
SECRET = make_entity()
ENTRIES = [entry.to_der() for entry in SECRET.entries]


def protected(keyring: bytes, *, damage: int | None = None) -> bytes:
    """Return an entity secret with any bytes at all as its keyring, under `right`."""
    sealed = bytearray(symmetric.keyring_seal(b"right", SALT, keyring, iterations=ITERATIONS))
    if damage is not None:
        sealed[damage] ^= 1
    value = der.sequence(der.octets(bytes(sealed)), der.octets(SALT), der.integer(ITERATIONS))
    ring = der.external((15, 2), value)
    return der.external(ENTITY_SECRET_KIND, der.sequence(SECRET.entity.inner, ring))


WHOLE = der.sequence(der.sequence(*ENTRIES))
UNKNOWN_KEY = der.sequence(
    der.sequence(*ENTRIES[:1], der.sequence(der.sequence(), der.external((11, 99), b"\x05\x00")))
)
WRONG = {
    "passphrase": (WHOLE, None, b"wrong"),
    "empty passphrase": (WHOLE, None, b""),
    "longer passphrase": (WHOLE, None, b"right "),
    "damaged at the front": (WHOLE, 0, b"right"),
    "damaged tag": (WHOLE, -1, b"right"),
    "no keyring inside": (b"garbage", None, b"right"),
    "nothing inside": (b"", None, b"right"),
    "trailing bytes inside": (WHOLE + b"\x00", None, b"right"),
    "an empty keyring": (der.sequence(der.sequence()), None, b"right"),
    "an unknown key": (UNKNOWN_KEY, None, b"right"),
    "a missing key": (der.sequence(der.sequence(*ENTRIES[:4])), None, b"right"),
    "keys of another entity": (
        der.sequence(der.sequence(*(entry.to_der() for entry in make_entity().entries))),
        None,
        b"right",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_wrong_inside_is_told_as_a_wrong_passphrase(what: str) -> None:
    keyring, damage, passphrase = WRONG[what]
    with pytest.raises(KeyringDecryptError) as caught:
        EntitySecret.from_bytes(protected(keyring, damage=damage), passphrase)
    assert caught.value.reason == ONE_LINE
    assert caught.value.code is Code.KEYRING_DECRYPT_FAILED
    assert "\n" not in str(caught.value)


def test_right_passphrase_opens() -> None:
    assert EntitySecret.from_bytes(protected(WHOLE), b"right").to_bytes() == SECRET.to_bytes()


def test_no_passphrase_at_all_is_another_matter() -> None:
    with pytest.raises(PassphraseRequiredError):
        EntitySecret.from_bytes(protected(WHOLE))


def test_passphrases_stay_out_of_errors() -> None:
    with pytest.raises(KeyringDecryptError) as caught:
        EntitySecret.from_bytes(protected(WHOLE), b"my dog's name")
    assert "dog" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
