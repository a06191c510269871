"""The recorded WKD-IBE ciphertext, opened by every recorded key; and no field is left unread."""

from __future__ import annotations

import pytest

from tests.support.vectors import vectors
from wavemq import _kernel
from wavemq.crypto import hashing

WKD = vectors("crypto")["wkdibe"]
LQ = vectors("crypto")["lqibe"]
FREE = (b"",) * WKD["l"]
EXPECTED = hashing.shake256(bytes.fromhex(WKD["encrypt"]["message_gt"]), 28)
CIPHERTEXT = bytes.fromhex(WKD["encrypt"]["ciphertext_compressed"])


@pytest.mark.parametrize(
    "holder", ["qualify", "nondelegable_keygen", "nondelegable_qualify_of_keygen"]
)
def test_keys_for_exactly_the_attributes_open_the_ciphertext(holder: str) -> None:
    key = _kernel.WkdSecretKey.from_bytes(bytes.fromhex(WKD[holder]["sk_compressed"]))
    # The recorded attributes are raw numbers, already fixed in the key: nothing is left to hash.
    assert key.decapsulate(WKD["l"], FREE, CIPHERTEXT, 28) == EXPECTED


def test_a_key_for_fewer_attributes_opens_nothing_before_it_is_qualified() -> None:
    key = _kernel.WkdSecretKey.from_bytes(bytes.fromhex(WKD["keygen"]["sk_compressed"]))
    assert key.decapsulate(WKD["l"], FREE, CIPHERTEXT, 28) != EXPECTED


def test_the_recorded_scheme_objects_have_no_unknown_fields() -> None:
    assert set(WKD) == {
        "l",
        "alpha",
        "params_compressed",
        "params_uncompressed",
        "master_compressed",
        "keygen",
        "qualify",
        "nondelegable_keygen",
        "nondelegable_qualify_of_keygen",
        "encrypt",
        "sign",
    }
    assert set(LQ) == {
        "params_compressed",
        "master_raw",
        "master_is_ge_r",
        "id",
        "id_compressed",
        "sk_compressed",
        "ciphertext_compressed",
        "key28",
        "kdf_input",
    }
