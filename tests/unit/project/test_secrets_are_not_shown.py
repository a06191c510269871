"""No `repr` shows key material: for every class of the package that holds any.

Method: every dataclass is found by walking the package; those with a field named like a secret
get a recognisable value there, and their `repr` must not hold it. Public keys, ciphertexts and
things only named alike are listed here, each with what it is, so that a new field must be judged.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import inspect
import pkgutil
import re
import traceback
from collections.abc import Iterator

import pytest

import wavemq
from tests.support.secret_spellings import secrets_of, shown
from tests.support.worlds import after, make_entity
from wavemq.crypto import lqibe, wkdibe
from wavemq.crypto.signing import SigningKey
from wavemq.errors import WaveMQError
from wavemq.wave.bundle import KeyBundle, LabelKey
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.partition import BODY_TAG, bundle_partitions, prefix

SUSPICIOUS = re.compile("secret|passphrase|password|key|master|seed|keyring|private|plaintext")
HARMLESS = {
    ("wavemq.authz.jedi_cipher", "SealedForJEDI", "encrypted_key"): "ciphertext",
    ("wavemq.wave.attestation", "VerifierBody", "binding_key"): "public",
    ("wavemq.wave.attestation", "Wr1Body", "envelope_key_ibe"): "ciphertext",
    ("wavemq.wave.attestation", "Wr1Body", "envelope_key_subject"): "ciphertext",
    ("wavemq.wave.attestation", "Wr1Body", "envelope_key_attester"): "ciphertext",
    ("wavemq.wave.attestation", "Attestation", "ephemeral_key"): "public",
    ("wavemq.wave.attestation_open", "Envelope", "body_key_message"): "ciphertext",
    ("wavemq.wave.encrypted", "NamespaceKey", "envelope_key"): "ciphertext",
    ("wavemq.wave.encrypted", "EncryptedMessage", "keys"): "ciphertexts",
    ("wavemq.wave.entity", "Entity", "verifying_key"): "public",
}
PLAIN = re.compile(r"\b(bytes|bytearray|str)\b")
"""Fields of other types hold classes, which are judged themselves."""
CANARY = b"canary of a secret, 28 bytes"


def dataclasses_of_the_package() -> Iterator[type]:
    for module in pkgutil.walk_packages(wavemq.__path__, "wavemq."):
        if module.name.endswith(("_pb2", "__main__", "_kernel")):
            continue
        for one in vars(importlib.import_module(module.name)).values():
            is_own = inspect.isclass(one) and one.__module__ == module.name
            if is_own and "__dataclass_fields__" in vars(one):
                yield one


def suspicious_fields(one: type) -> list[dataclasses.Field[object]]:
    return [
        field
        for field in dataclasses.fields(one)
        if SUSPICIOUS.search(field.name.lower())
        and PLAIN.search(str(field.type))
        and (one.__module__, one.__name__, field.name) not in HARMLESS
    ]


HOLDERS = [one for one in dataclasses_of_the_package() if suspicious_fields(one)]


def test_the_walk_finds_the_holders_that_are_known() -> None:
    names = {one.__name__ for one in HOLDERS}
    assert names >= {"CallerSecret", "Identity", "LabelKey", "ContentKey", "OpenedAttestation"}


@pytest.mark.parametrize("one", HOLDERS, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_a_holder_of_secrets_does_not_show_them(one: type) -> None:
    if one is EntitySecret:
        return  # it names itself by a hash, and is tested whole below
    holder: object = object.__new__(one)
    for field in dataclasses.fields(one):
        secret: object = None
        if field in suspicious_fields(one):
            is_text = str(field.type).startswith("str")
            secret = CANARY.decode() if is_text else CANARY
        object.__setattr__(holder, field.name, secret)
    assert CANARY.decode() not in repr(holder)
    assert CANARY.decode() not in str(holder)


def test_keys_in_use_do_not_show_themselves() -> None:
    entity = make_entity()
    params = entity.entity.oaque_params
    pattern = bundle_partitions(prefix(BODY_TAG, ()), after(0), after(60))[0]
    label = LabelKey.extract(entity.entity.ibe_params_bytes, entity.ibe_master, b"identity")
    bundle = KeyBundle.derive(params, entity.oaque_master, [pattern])
    holders: list[tuple[object, list[bytes]]] = [
        (entity, secrets_of(entity)),
        *((entry, [entry.secret]) for entry in entity.entries),
        (SigningKey(entity.secret64), [entity.secret64]),
        (entity.ibe_master, [entity.ibe_master.to_bytes()]),
        (entity.oaque_master, [entity.oaque_master.to_bytes()]),
        (lqibe.SecretKey(label.secret), [label.secret]),
        (wkdibe.SecretKey(bundle.keys[0].secret), [bundle.keys[0].secret]),
        (label, [label.secret]),
        (bundle, [bundle.keys[0].secret]),
    ]
    for holder, secrets in holders:
        for text in (repr(holder), str(holder), f"{holder}", f"{[holder]}"):
            assert shown(text, secrets) == []


@pytest.mark.parametrize("passphrase", [None, b"", b"a wrong passphrase"])
def test_a_refused_secret_tells_neither_key_nor_passphrase(passphrase: bytes | None) -> None:
    entity = make_entity()
    protected = entity.to_bytes(b"the right passphrase")
    with pytest.raises(WaveMQError) as refused:
        EntitySecret.from_bytes(protected, passphrase)
    texts = [str(refused.value), repr(refused.value)]
    texts += traceback.format_exception(refused.value)
    secrets = [*secrets_of(entity), b"the right passphrase", b"a wrong passphrase"]
    for text in texts:
        assert shown(text, secrets) == []


def test_the_search_finds_what_is_shown() -> None:
    secret = bytes(range(100, 140))
    texts = [
        f"key={secret!r}",
        f"key={secret.hex()}",
        repr(list(secret)),
        "key=" + secret.decode("latin-1"),
    ]
    texts += [base64.b64encode(b"x" * shift + secret).decode() for shift in range(3)]
    texts += [base64.urlsafe_b64encode(b"x" * shift + secret).decode() for shift in range(3)]
    for text in texts:
        assert shown(text, [secret]), text
    assert shown("nothing of it", [secret]) == []
