"""Every entry of crypto.json, bit for bit and in both directions."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.vectors import b64, fixed, scalar, vectors
from wavemq import _kernel
from wavemq.clock import instant_from_seconds
from wavemq.crypto import exchange, hashing, lqibe, signing, wkdibe
from wavemq.errors import InvalidSignatureError, MessageDecryptError
from wavemq.wave import der, signature
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_open import (
    check_signatures,
    keys_as_attester,
    open_with_prover_key,
    open_with_verifier_key,
)
from wavemq.wave.bundle import LabelKey
from wavemq.wave.encrypted import decrypt_message
from wavemq.wave.entity import Entity
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.partition import BODY_TAG, prefix, wr1_partition
from wavemq.wave.public_key import OAQUE_CHILD, PublicKey

CRYPTO = vectors("crypto")
WKD = CRYPTO["wkdibe"]
LQ = CRYPTO["lqibe"]
WAVE = CRYPTO["wave"]
POINTS = CRYPTO["points"]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def test_every_key_of_the_file_is_known_here() -> None:
    tested = {
        "points",
        "gt_generator",
        "hash_to_zp",
        "hash_to_g1_no_cofactor_compressed",
        "hash_to_g2_no_cofactor_compressed",
        "lqibe_id_compressed",
        "gt_to_key",
        "wkdibe",
        "lqibe",
        "wave",
    }
    assert set(CRYPTO) == tested | {"about"}
    tested_wave = {
        "entity_secret",
        "entity_public",
        "entity_pass_secret",
        "curve25519",
        "ibe",
        "ibe_public_der",
        "ibe_secret_entry_der",
        "oaque",
        "oaque_public_der",
        "oaque_secret_entry_der_true",
        "oaque_secret_entry_der_false",
        "partition",
        "sig_der",
        "ns_hash",
        "alice_secret",
        "alice_public",
        "jedi_att",
        "att_verifierkey_jedi",
        "att_proverkey_jedi",
        "e2ee_msg",
        "jedi_msg",
        "jedi_msg2",
        "jedi_msg3",
        "jedi_ts",
        "jedi_ts3",
        "jedi_patterns",
        "jedi_ranges",
    }
    assert set(WAVE) == tested_wave | {"notes"}


@pytest.mark.parametrize("name", POINTS)
def test_points_decode_and_encode_to_the_same_bytes(name: str) -> None:
    encoded = unhex(POINTS[name])
    group, is_compressed = int(name[1]), not name.endswith("u")
    assert _kernel.recode_point(group, encoded, is_compressed, is_compressed) == encoded
    if name[2] == "x":
        assert _kernel.multiply_generator(group, int(name[3:]).to_bytes(32, "big")) == encoded


def test_forms_of_the_generators_and_of_infinity_belong_together() -> None:
    for group, name in ((1, "g1"), (2, "g2"), (1, "g1z")):
        compressed, plain = unhex(POINTS[f"{name}c"]), unhex(POINTS[f"{name}u"])
        assert _kernel.recode_point(group, compressed, True, False) == plain
        assert _kernel.recode_point(group, plain, False, True) == compressed


@pytest.mark.parametrize("name", POINTS)
def test_points_with_wrong_flags_are_refused(name: str) -> None:
    encoded = unhex(POINTS[name])
    group, is_compressed = int(name[1]), not name.endswith("u")
    with pytest.raises(_kernel.EncodingError):
        _kernel.recode_point(
            group, bytes((encoded[0] ^ 0x80,)) + encoded[1:], is_compressed, is_compressed
        )
    for short in (encoded[:-1], encoded + b"\0", b""):
        with pytest.raises(_kernel.EncodingError):
            _kernel.recode_point(group, short, is_compressed, is_compressed)


def test_a_point_that_is_not_canonical_is_refused() -> None:
    prime = int(
        "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf"
        "6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
        16,
    )
    for value in (prime, prime + 1, 2**381 - 1):
        encoded = bytearray(value.to_bytes(48, "big"))
        encoded[0] |= 0x80
        with pytest.raises(_kernel.EncodingError, match="canonical"):
            _kernel.recode_point(1, bytes(encoded), True, True)


def test_points_off_the_curve_or_outside_the_subgroup_are_refused() -> None:
    reasons = set()
    for seed in range(64):
        encoded = bytearray(hashlib.shake_256(bytes((seed,))).digest(48))
        encoded[0] = (encoded[0] & 0x0F) | 0x80
        with pytest.raises(_kernel.EncodingError) as caught:
            _kernel.recode_point(1, bytes(encoded), True, True)
        reasons.add(str(caught.value))
    assert reasons == {
        "a point is not on the curve",
        "a point is not in the prime-order subgroup",
    }


def test_pairing_of_the_generators() -> None:
    paired = _kernel.pair(unhex(POINTS["g1c"]), unhex(POINTS["g2c"]))
    assert paired.hex() == CRYPTO["gt_generator"]
    assert _kernel.recode_gt(paired) == paired
    assert _kernel.pair(unhex(POINTS["g1zc"]), unhex(POINTS["g2c"])) == bytes(575) + b"\1"


def test_an_element_outside_the_target_group_is_refused() -> None:
    changed = bytearray(unhex(CRYPTO["gt_generator"]))
    changed[-1] ^= 1
    for bad in (bytes(changed), bytes(576), b"\xff" * 576, bytes(575)):
        with pytest.raises(_kernel.EncodingError):
            _kernel.recode_gt(bad)


@pytest.mark.parametrize("data", CRYPTO["hash_to_zp"])
def test_hash_to_scalar(data: str) -> None:
    expected = int(CRYPTO["hash_to_zp"][data], 16)
    assert int.from_bytes(_kernel.hash_to_zp(unhex(data)), "big") == expected


@pytest.mark.parametrize("data", CRYPTO["hash_to_g1_no_cofactor_compressed"])
def test_map_to_first_group(data: str) -> None:
    digest = hashing.shake256(unhex(data), 48)
    expected = CRYPTO["hash_to_g1_no_cofactor_compressed"][data]
    assert _kernel.map_to_g1(digest).hex() == expected


@pytest.mark.parametrize("data", CRYPTO["hash_to_g2_no_cofactor_compressed"])
def test_map_to_second_group(data: str) -> None:
    digest = hashing.shake256(unhex(data), 96)
    expected = CRYPTO["hash_to_g2_no_cofactor_compressed"][data]
    assert _kernel.map_to_g2(digest).hex() == expected


@pytest.mark.parametrize("data", CRYPTO["lqibe_id_compressed"])
def test_identity_points(data: str) -> None:
    assert lqibe.identity_point(unhex(data)).hex() == CRYPTO["lqibe_id_compressed"][data]


def test_key_from_a_target_element() -> None:
    element = unhex(CRYPTO["gt_to_key"]["gt"])
    assert _kernel.recode_gt(element) == element
    assert hashing.shake256(element, 28).hex() == CRYPTO["gt_to_key"]["shake256_28"]


class TestWkdIbe:
    params = _kernel.WkdParams.from_bytes(unhex(WKD["params_compressed"]))
    master = _kernel.WkdMasterKey.from_bytes(unhex(WKD["master_compressed"]))

    def test_parameters_in_both_forms(self) -> None:
        assert self.params.slots == WKD["l"]
        assert self.params.to_bytes().hex() == WKD["params_compressed"]
        assert self.params.to_bytes(compressed=False).hex() == WKD["params_uncompressed"]
        plain = _kernel.WkdParams.from_bytes(unhex(WKD["params_uncompressed"]), compressed=False)
        assert plain.to_bytes().hex() == WKD["params_compressed"]

    def test_master_key_is_alpha_times_g2(self) -> None:
        g2 = unhex(WKD["params_compressed"])[1 + 192 : 1 + 192 + 48]
        assert self.master.to_bytes().hex() == WKD["master_compressed"]
        # By bilinearity, pairing the master key is pairing g2 with alpha times the generator.
        alpha = _kernel.multiply_generator(2, scalar(WKD["alpha"]))
        generator = unhex(POINTS["g2c"])
        assert _kernel.pair(self.master.to_bytes(), generator) == _kernel.pair(g2, alpha)

    def key(self) -> _kernel.WkdSecretKey:
        made = WKD["keygen"]
        return self.master.derive_with_scalar(self.params, fixed(made["attrs"]), scalar(made["r"]))

    def test_key_generation_in_both_forms(self) -> None:
        key = self.key()
        assert key.to_bytes().hex() == WKD["keygen"]["sk_compressed"]
        assert key.to_bytes(compressed=False).hex() == WKD["keygen"]["sk_uncompressed"]
        for text, is_compressed in (("sk_compressed", True), ("sk_uncompressed", False)):
            encoded = unhex(WKD["keygen"][text])
            read = _kernel.WkdSecretKey.from_bytes(encoded, compressed=is_compressed)
            assert read.to_bytes(compressed=is_compressed) == encoded
            assert read.free_slots == [0, 2, 3, 4]

    def test_qualification(self) -> None:
        made = WKD["qualify"]
        key = self.key().qualify_with_scalar(self.params, fixed(made["attrs"]), scalar(made["t"]))
        assert key.to_bytes().hex() == made["sk_compressed"]

    def test_nondelegable_generation_and_qualification(self) -> None:
        made = WKD["nondelegable_keygen"]
        key = self.master.derive_with_scalar(self.params, fixed(made["attrs"]))
        assert key.to_bytes().hex() == made["sk_compressed"]
        made = WKD["nondelegable_qualify_of_keygen"]
        key = self.key().qualify_with_scalar(self.params, fixed(made["attrs"]))
        assert key.to_bytes().hex() == made["sk_compressed"]

    def test_encryption(self) -> None:
        made = WKD["encrypt"]
        message, ciphertext = self.params.encrypt_with_scalars(
            fixed(made["attrs"]), scalar(made["k"]), scalar(made["s"])
        )
        assert message.hex() == made["message_gt"]
        assert ciphertext.hex() == made["ciphertext_compressed"]

    def test_decryption_by_master_key(self) -> None:
        made = WKD["encrypt"]
        expected = hashing.shake256(unhex(made["message_gt"]), 28)
        found = self.master.decapsulate(unhex(made["ciphertext_compressed"]), 28)
        assert found == expected

    def test_signature(self) -> None:
        made = WKD["sign"]
        attributes = fixed(WKD["qualify"]["attrs"])
        message = made["message"].encode()
        recorded = unhex(made["signature_compressed"])
        signed = self.key().sign_with_scalar(self.params, attributes, message, scalar(made["s"]))
        qualified = _kernel.WkdSecretKey.from_bytes(unhex(WKD["qualify"]["sk_compressed"]))
        again = qualified.sign_with_scalar(self.params, attributes, message, scalar(made["s"]))
        assert recorded in (signed, again)
        for one in (signed, again):
            assert self.params.verifies(attributes, message, one)
        assert not self.params.verifies(attributes, b"other", recorded)

    def test_truncation_is_refused_everywhere(self) -> None:
        for data, read in (
            (unhex(WKD["params_compressed"]), _kernel.WkdParams.from_bytes),
            (unhex(WKD["keygen"]["sk_compressed"]), _kernel.WkdSecretKey.from_bytes),
        ):
            whole = {len(data) - 48 * n for n in range(6)} | {len(data) - 52 * n for n in range(6)}
            for size in range(0, len(data), 7):
                if size not in whole:
                    with pytest.raises(_kernel.EncodingError):
                        read(data[:size])


class TestLqIbe:
    def test_extraction_with_a_master_key_beyond_the_group_order(self) -> None:
        assert LQ["master_is_ge_r"]
        master = lqibe.MasterKey(unhex(LQ["master_raw"]))
        assert master.extract(LQ["id"].encode()).to_bytes().hex() == LQ["sk_compressed"]
        assert lqibe.identity_point(LQ["id"].encode()).hex() == LQ["id_compressed"]

    def test_decapsulation(self) -> None:
        found = _kernel.lq_decapsulate(
            unhex(LQ["sk_compressed"]),
            unhex(LQ["id_compressed"]),
            unhex(LQ["ciphertext_compressed"]),
            28,
        )
        assert found.hex() == LQ["key28"]
        assert hashing.shake256(unhex(LQ["kdf_input"]), 28).hex() == LQ["key28"]

    def test_encapsulation_is_the_other_direction(self) -> None:
        key, ciphertext = _kernel.lq_encapsulate(
            unhex(LQ["params_compressed"]), LQ["id"].encode(), 28
        )
        found = _kernel.lq_decapsulate(
            unhex(LQ["sk_compressed"]), unhex(LQ["id_compressed"]), ciphertext, 28
        )
        assert found == key


def secret(name: str, passphrase: bytes | None = None) -> EntitySecret:
    return EntitySecret.from_bytes(unhex(WAVE[name]), passphrase)


class TestWaveMessages:
    entity = secret("entity_secret")
    partition = tuple(unhex(part) for part in WAVE["partition"])

    def test_entities_and_keyrings(self) -> None:
        assert self.entity.entity.wire == unhex(WAVE["entity_public"])
        assert self.entity.to_bytes() == unhex(WAVE["entity_secret"])
        assert self.entity.entity.hash.to_text() == WAVE["ns_hash"]
        protected = secret("entity_pass_secret", b"correct horse")
        assert EntitySecret.from_bytes(protected.to_bytes(b"x"), b"x").secret64 == (
            protected.secret64
        )
        assert secret("alice_secret").entity == Entity.from_bytes(unhex(WAVE["alice_public"]))

    def test_direct_message(self) -> None:
        data = unhex(WAVE["curve25519"])
        assert exchange.direct_decrypt(self.entity.direct_secret, data) == b"direct hello"
        again = exchange.direct_encrypt(self.entity.entity.direct_key, b"direct hello")
        assert len(again) == len(data)
        assert exchange.direct_decrypt(self.entity.direct_secret, again) == b"direct hello"

    def test_identity_message_and_its_key(self) -> None:
        entity = self.entity
        key = LabelKey.extract(entity.entity.ibe_params_bytes, entity.ibe_master, b"$GLOBAL")
        assert key.open(unhex(WAVE["ibe"])) == b"ibe hello"
        _, entry = der.Reader(key.to_der()).external()
        raw = entry.element()
        assert raw.hex() == WAVE["ibe_secret_entry_der"]
        assert der.Reader(raw).sequence().element().hex() == WAVE["ibe_public_der"]

    def test_partition(self) -> None:
        start = instant_from_seconds(1793491200)  # 2026-11-01T00:00:00Z
        end = instant_from_seconds(1801627506)  # 2027-02-03T04:05:06Z
        assert wr1_partition(prefix(BODY_TAG, (b"foo",)), start, end) == self.partition

    def test_attribute_message_by_master_key(self) -> None:
        params, data = self.entity.entity.oaque_params, unhex(WAVE["oaque"])
        opened = wkdibe.decrypt(self.entity.oaque_master, params, self.partition, data)
        assert opened == b"oaque hello"
        again = wkdibe.encrypt(params, self.partition, b"oaque hello")
        assert len(again) == len(data)
        assert wkdibe.decrypt(self.entity.oaque_master, params, self.partition, again) == opened

    @pytest.mark.parametrize("name", ["true", "false"])
    def test_attribute_child_keys(self, name: str) -> None:
        encoded = unhex(WAVE[f"oaque_secret_entry_der_{name}"])
        outer = der.Reader(encoded)
        entry = outer.sequence()
        outer.finish()
        raw = entry.element()
        assert raw.hex() == WAVE["oaque_public_der"]
        public = PublicKey.read(der.Reader(raw))
        assert public.kind == OAQUE_CHILD
        assert public.to_der() == raw
        kind, value = entry.external()
        assert kind == (14, 7)
        body = der.Reader(public.content).sequence()
        params = wkdibe.Params.from_bytes(body.octets())
        assert params == self.entity.entity.oaque_params
        listed = body.sequence()
        pattern = tuple(listed.octets() for _ in range(20))
        key = wkdibe.SecretKey(value.octets())
        assert key.decoded.to_bytes() == key.to_bytes()
        data = wkdibe.encrypt(params, pattern, b"for the child")
        assert wkdibe.decrypt(key, params, pattern, data) == b"for the child"

    def test_message_signature(self) -> None:
        data = unhex(WAVE["sig_der"])
        signature.verify(self.entity.entity, data, b"digest")
        assert signature.sign(self.entity, b"digest") == data  # Ed25519 is deterministic
        with pytest.raises(InvalidSignatureError):
            signature.verify(self.entity.entity, data, b"another")

    def test_encrypted_message_for_namespace_and_entity(self) -> None:
        data = unhex(WAVE["e2ee_msg"])
        assert decrypt_message(data, self.entity, lambda _: None) == b"e2ee hello"
        assert decrypt_message(data, secret("alice_secret"), lambda _: None) == b"e2ee hello"
        with pytest.raises(MessageDecryptError):
            decrypt_message(data, secret("entity_pass_secret", b"correct horse"), lambda _: None)

    def test_attestation_with_foreign_keys_opens_by_every_key(self) -> None:
        attestation = Attestation.from_bytes(unhex(WAVE["jedi_att"]))
        body = open_with_verifier_key(attestation, unhex(WAVE["att_verifierkey_jedi"]))
        prover_key = unhex(WAVE["att_proverkey_jedi"])
        opened = open_with_prover_key(attestation, prover_key)
        assert opened.body == body
        assert keys_as_attester(attestation, self.entity.direct_secret) == prover_key
        check_signatures(attestation, body, self.entity.entity)
        assert [bundle.params for bundle in opened.bundles] == (
            [self.entity.entity.oaque_params_bytes] * 2
        )


@pytest.mark.parametrize("index", range(len(vectors("routing")["cityhash128"])))
def test_cityhash(index: int) -> None:
    made: dict[str, Any] = vectors("routing")["cityhash128"][index]
    data = (
        unhex(made["data"])
        if "data" in made
        else bytes((7 * place + 13) % 256 for place in range(made["len"]))
    )
    assert len(data) == made["len"]
    low, high = hashing.cityhash128(data)
    assert (f"{low:016x}", f"{high:016x}") == (made["low"], made["high"])


def test_keccak_is_the_legacy_one() -> None:
    assert hashing.keccak256(b"").hex() == (
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    )
    assert b64(vectors("objects")["entities"]["ns"]["revocation_blob"]) == (
        hashing.keccak256(
            b"revocation"
            + EntitySecret.from_bytes(b64(vectors("objects")["entities"]["ns"]["secret"])).secret64
        )
    )


def test_signing_known_answer() -> None:
    # RFC 8032, 7.1, test 2.
    seed = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    made = signing.SigningKey(seed + public).sign(b"\x72")
    assert made.hex().startswith("92a009a9f0d4cab8720e820b5f642540")
    signing.verify(public, made, b"\x72")
    for key, signed in ((public[:31], made), (public + b"\0", made), (public, made[:63])):
        with pytest.raises(InvalidSignatureError):
            signing.verify(key, signed, b"\x72")
