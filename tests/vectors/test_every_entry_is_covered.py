"""Which test covers which part of the five vector files; nothing is left out.

Each part names the test module that walks through it; the module must read it. A
new part of a file, or one that loses its test, fails here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.vectors import vectors

HERE = Path(__file__).parent
TESTS = HERE.parent

CRYPTO = "vectors/test_crypto_vectors.py"
OBJECTS = "vectors/test_object_vectors.py"
OBJECT_PROOFS = "vectors/authz/test_object_proof_vectors.py"
WAVE_PROOFS = "vectors/authz/test_wave_proof_vectors.py"
MESSAGES = "vectors/authz/test_message_admission_vectors.py"
NAMES = "vectors/authz/test_name_vectors.py"
WIRE = "vectors/wire/test_router_message_vectors.py"
ROUTING = "vectors/test_routing_vectors.py"
PROSE = "prose"

COVERAGE: dict[str, dict[str, str]] = {
    "crypto": {
        "about": PROSE,
        "points": CRYPTO,
        "gt_generator": CRYPTO,
        "hash_to_zp": CRYPTO,
        "hash_to_g1_no_cofactor_compressed": CRYPTO,
        "hash_to_g2_no_cofactor_compressed": CRYPTO,
        "lqibe_id_compressed": CRYPTO,
        "gt_to_key": CRYPTO,
        "wkdibe": CRYPTO,
        "lqibe": CRYPTO,
        "wave": CRYPTO,
    },
    "objects": {
        "_about": PROSE,
        "entities": OBJECTS,
        "attestations": OBJECTS,
        "proofs": OBJECT_PROOFS,
        "messages": OBJECTS,
        "name_declarations": NAMES,
        "restrict_by": OBJECTS,
        "resource_valid": OBJECTS,
        "constants": OBJECTS,
    },
    "wave": {
        "generated_ms": WAVE_PROOFS,
        "location": WAVE_PROOFS,
        "permission_sets": OBJECTS,
        "entities": OBJECTS,
        "attestations": OBJECTS,
        "proofs": WAVE_PROOFS,
        "proof_build": WAVE_PROOFS,
        "encrypted": WAVE_PROOFS,
        "names": NAMES,
        "signatures": OBJECTS,
        "revocations": OBJECTS,
        "inspect": OBJECTS,
        "storage_before_revocations": WAVE_PROOFS,
        "storage_after_revocations": WAVE_PROOFS,
    },
    "messages": {
        "entities": MESSAGES,
        "generated_ms": MESSAGES,
        "grants": OBJECTS,
        "handshake": WIRE,
        "location": MESSAGES,
        "messages": MESSAGES,
        "query": MESSAGES,
        "storage": MESSAGES,
        "subscribe": MESSAGES,
    },
    "routing": {
        "_about": PROSE,
        "analyze_suffix_valid_star_plus": OBJECTS,
        "cityhash128": CRYPTO,
        "match": ROUTING,
        "query": ROUTING,
        "restrict_by": OBJECTS,
        "subscription_id": ROUTING,
        "wr1_partitions": OBJECTS,
    },
}


@pytest.mark.parametrize("name", COVERAGE)
def test_every_part_of_a_file_has_its_test(name: str) -> None:
    assert set(vectors(name)) == set(COVERAGE[name])


def test_covering_modules_read_the_parts_that_they_cover() -> None:
    shared = (TESTS / "support" / "vector_worlds.py").read_text()
    unread = [
        f"{name}: {part}"
        for name, parts in COVERAGE.items()
        for part, where in parts.items()
        if where != PROSE and f'"{part}"' not in (TESTS / where).read_text() + shared
    ]
    assert unread == []
