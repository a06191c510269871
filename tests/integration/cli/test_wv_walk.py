"""The real `wv` through its whole walk: entities, a grant, a proof, and what it says of them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.storage_server import http_table, storage_server

HASH = r"Gy[A-Za-z0-9_-]{44}=="
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC"


WAVEMQ = "GyAUM3SzL9J0OVT-R4b2z4bUA3IPXsRCNrZYwmoeaA9uAQ=="


def shape(said: str, **known: str) -> str:
    """Return output with known hashes as names, and what differs each time as HASH, TIME, SLOT."""
    for name, text in {"WAVEMQ": WAVEMQ, **known}.items():
        said = said.replace(text, name)
    said = re.sub(r"\(\d+ \d+ \d+ \d+\)", "(SLOTS)", said)
    said = re.sub(r"\.\d{1,3} \+0000 UTC", " +0000 UTC", said)
    return re.sub(TIME, "TIME", re.sub(HASH, "HASH", said))


class Desk:
    """A directory in which `wv` is run as a user would."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = environment

    def call(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run `wv`; return its status and all it printed, which must be on standard output."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WAVE_")}
        done = subprocess.run(
            [sys.executable, "-m", "wavemq.cli.wv", *arguments],
            cwd=self.directory,
            env={**kept, "TZ": "UTC", **self._environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        assert "Traceback" not in done.stdout
        return done.returncode, done.stdout

    def wv(self, *arguments: str, **variables: str) -> str:
        status, output = self.call(*arguments, **variables)
        assert status == 0, output
        return output

    def json(self, *arguments: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.wv("--json", *arguments))
        return result

    def refused(self, *arguments: str, **variables: str) -> str:
        status, output = self.call(*arguments, **variables)
        assert status == 1, output
        return output


@pytest.fixture(scope="module")
def local_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk without any configuration: objects are in the state directory."""
    directory = tmp_path_factory.mktemp("local")
    return made(Desk(directory, {"WAVE_HOME": str(directory / "home")}))


@pytest.fixture(scope="module", params=["local", "http"])
def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A desk with a namespace, alice, bob, and a grant from the namespace to alice."""
    if request.param == "local":
        yield request.getfixturevalue("local_desk")
        return
    directory = tmp_path_factory.mktemp("http")
    environment = {"WAVE_HOME": str(directory / "home")}
    with storage_server(directory / "objects") as server:
        table = http_table(server)
        config = directory / "wave.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        config.write_text("\n".join(["[storage.default]", *lines, ""]))
        yield made(Desk(directory, {**environment, "WAVE_CONFIG": str(config)}))


def made(desk: Desk) -> Desk:
    for name in ("ns", "alice", "bob"):
        said = desk.wv("mke", "-e", "1y", "--nopassphrase", "-o", f"{name}.pem")
        assert said == f"wrote entity: {name}.pem\n"
    said = desk.wv(
        "rtgrant", "--attester", "ns.pem", "--subject", "alice.pem", "--indir", "5",
        "-o", "grant.pem", "wavemq:publish,subscribe@ns.pem/building/*",
    )  # fmt: skip
    assert re.fullmatch(
        r"(Synchronized \d+/\d+ entities\n)+Perspective graph sync complete\n"
        r"wrote attestation: grant\.pem\npublished attestation\n",
        said,
    )
    return desk


def test_entity_is_a_private_file_named_by_its_hash(desk: Desk) -> None:
    said = desk.wv("mkentity", "--nopassphrase", "--nopublish")
    match = re.fullmatch(rf"wrote entity: (ent_({HASH})\.pem)\n", said)
    assert match is not None
    path = desk.directory / match[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN WAVE ENTITY SECRET-----\n")
    assert desk.json("inspect", match[1])["hash"] == match[2]


def test_unpublished_entity_is_not_in_storage_until_it_is_published(desk: Desk) -> None:
    made = desk.json("mke", "--nopassphrase", "--nopublish", "-o", "hidden.pem")
    assert not made["published"]
    assert "(909: " in desk.refused("resolve", "--skipsync", made["hash"])
    assert desk.wv("publish", "hidden.pem") == ""
    assert desk.json("resolve", "--skipsync", made["hash"])["hash"] == made["hash"]


def test_existing_secret_is_not_overwritten(desk: Desk) -> None:
    before = (desk.directory / "alice.pem").read_bytes()
    said = desk.refused("mke", "--nopassphrase", "-o", "alice.pem")
    assert said == (
        'file "alice.pem" exists already: choose another name with --outfile, or remove it\n'
    )
    assert (desk.directory / "alice.pem").read_bytes() == before


def test_proof_is_built_and_verifies(desk: Desk) -> None:
    said = desk.wv("rtprove", "--subject", "alice.pem", "wavemq:publish@ns.pem/building/1")
    lines = said.splitlines()
    assert re.fullmatch(r"Synchronized \d+/\d+ entities", lines[0])
    assert lines[-2] == "Perspective graph sync complete"
    match = re.fullmatch(r"wrote proof: (proof_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.pem)", lines[-1])
    assert match is not None
    said = desk.wv("verify", match[1])
    assert shape(said, ALICE=hash_of(desk, "alice.pem"), NS=hash_of(desk, "ns.pem")) == VERDICT


VERDICT = """\
Referenced attestations:
 [00] Hash: HASH
Paths:
 [00] 00
Subject: ALICE
SubjectLoc: default
Expires: TIME
Policy: RTree
 Namespace: NS
 Indirections: 5
 Statements:
 [00] Permission set: WAVEMQ
      Permissions: publish, subscribe
      URI: building/*
"""


def hash_of(desk: Desk, file: str) -> str:
    return str(desk.json("inspect", file)["hash"])


def test_grant_is_passed_on(desk: Desk) -> None:
    desk.wv(
        "rtgrant", "--attester", "alice.pem", "--subject", hash_of(desk, "bob.pem"),
        "wavemq:subscribe@ns.pem/building/2",
    )  # fmt: skip
    proof = desk.json(
        "rtprove", "--subject", "bob.pem", "-o", "bob.proof",
        f"wavemq:subscribe@{hash_of(desk, 'ns.pem')}/building/2",
    )  # fmt: skip
    assert proof["subject"] == hash_of(desk, "bob.pem")
    verdict = desk.json("verify", "bob.proof")
    assert verdict["paths"] == [[0, 1]]
    assert [statement["resource"] for statement in verdict["policy"]["statements"]] == [
        "building/2"
    ]


def test_what_was_not_granted_is_not_proven(desk: Desk) -> None:
    for statement in ("wavemq:route@ns.pem/building/1", "wavemq:publish@ns.pem/elsewhere"):
        said = desk.refused("rtprove", "--skipsync", "--subject", "alice.pem", statement)
        assert said.startswith("error: (911: couldn't find a proof")


def test_proof_replaces_a_proof_but_nothing_else(desk: Desk) -> None:
    statement = "wavemq:publish@ns.pem/building/1"
    for _ in range(2):
        desk.wv("rtprove", "--subject", "alice.pem", "-o", "again.pem", statement)
    said = desk.refused("rtprove", "--subject", "alice.pem", "-o", "bob.pem", statement)
    assert 'file "bob.pem" exists already and is of another kind' in said


INSPECTED_ENTITY = """\
= Entity
      Hash: HASH
   Created: TIME
   Expires: TIME
  Validity:
   - Valid: true
   - Expired: false
   - Malformed: false
   - Revoked: false
   - Message:\x20
"""


def test_entity_is_inspected(desk: Desk) -> None:
    assert shape(desk.wv("inspect", "alice.pem")) == INSPECTED_ENTITY


INSPECTED_ATTESTATION = """\
= Attestation "grant.pem"
  Hash : HASH
  Validity:
   - Readable: false
   - Revoked: false
   - Malformed: false
   - Subject invalid: false
"""


def test_attestation_is_inspected_without_its_secrets(desk: Desk) -> None:
    assert shape(desk.wv("inspect", "grant.pem")) == INSPECTED_ATTESTATION


RESOLVED_ENTITY = """\
"ALICE":
= Entity
  Location: default
      Hash: ALICE
  Known as: < unknown >
   Created: TIME
   Expires: TIME
  Validity:
   - Valid: true
   - Expired: false
   - Malformed: false
   - Revoked: false
   - Message:\x20
"""


def test_entity_is_resolved(desk: Desk) -> None:
    alice = hash_of(desk, "alice.pem")
    assert shape(desk.wv("resolve", alice), ALICE=alice) == RESOLVED_ENTITY


RESOLVED_ATTESTATION = r"""
"GRANT":
= Attestation
    Location: default
        Hash: GRANT
   Partition: ["\x00attestation"/] (SLOTS)(SLOTS)
     Subject: ALICE
  Subj. Name: < unknown >
  SubjectLoc: default
     Created: TIME
     Expires: TIME
    Attester: NS
   Att. Name: < unknown >
 AttesterLoc: default
  Validity:
   - Readable: true
   - Revoked: false
   - Malformed: false
   - Subject invalid: false
   - Valid: true
   - Expired: false
   - Attester invalid: false
  Policy: RTree
   - Namespace: NS
   - NS Name: < unknown >
   - Indirections: 5
   - Statements:
     [00] Permission set: WAVEMQ
          PSET Name: < unknown >
          Permissions: publish, subscribe
          URI: building/*
"""


def test_attestation_is_resolved_by_its_subject(desk: Desk) -> None:
    grant = str(desk.json("inspect", "grant.pem")["hash"])
    said = desk.wv("resolve", "--perspective", "alice.pem", grant)
    progress, _, block = said.partition("Perspective graph sync complete")
    assert progress.startswith("Synchronized ")
    alice, ns = hash_of(desk, "alice.pem"), hash_of(desk, "ns.pem")
    assert shape(block, GRANT=grant, ALICE=alice, NS=ns) == RESOLVED_ATTESTATION


def test_attestation_is_unreadable_for_strangers(desk: Desk) -> None:
    grant = str(desk.json("inspect", "grant.pem")["hash"])
    said = desk.wv("resolve", grant)
    assert "   - Readable: false\n" in said
    assert said.endswith("   - Subject invalid: false\n")


def test_attestation_is_published_where_its_subject_is(desk: Desk) -> None:
    assert desk.wv("publish", "grant.pem") == ""
    assert desk.wv("publish", "--location", "default", "grant.pem") == (
        "ignoring location parameter for published attestation\n"
    )


def test_resync_tells_its_progress(desk: Desk) -> None:
    said = desk.wv("resync", "--perspective", "alice.pem")
    assert re.fullmatch(
        r"(Synchronized \d+/\d+ entities\n)+Perspective graph sync complete\n", said
    )


def test_environment_names_the_entity(desk: Desk) -> None:
    said = desk.wv("resync", WAVE_DEFAULT_ENTITY="alice.pem")
    assert said.endswith("Perspective graph sync complete\n")


def test_environment_names_the_expiry(desk: Desk) -> None:
    said = desk.refused("mke", "--nopassphrase", WAVE_DEFAULT_EXPIRY="soon")
    assert said == "bad expiry: Invalid duration\n"


def test_public_entity_file_is_as_good_as_its_secret(desk: Desk) -> None:
    from wavemq.wave.entity import parse_entity

    public = desk.directory / "bob.public"
    public.write_bytes(parse_entity((desk.directory / "bob.pem").read_bytes()).wire)
    assert desk.wv("inspect", "bob.public") == desk.wv("inspect", "bob.pem")
    said = desk.wv(
        "rtgrant", "--attester", "ns.pem", "--subject", "bob.public", "--nopublish",
        "wavemq:query@ns.pem/*",
    )  # fmt: skip
    assert re.search(rf"wrote attestation: att_{HASH}\.pem\n$", said)


def test_protected_secret_needs_its_passphrase_and_only_it(desk: Desk) -> None:
    desk.wv("mke", "--passphrase", "correct horse", "-o", "carol.pem")
    said = desk.refused("resync", "--perspective", "carol.pem")
    assert said.startswith("error: (302: ")
    assert "--passphrase" in said
    said = desk.refused("resync", "--perspective", "carol.pem", "--passphrase", "wrong")
    assert said == (
        "error: (304: could not create perspective ((303: could not decrypt entity secrets "
        "(decryption failed))))\n"
    )
    desk.wv("resync", "--perspective", "carol.pem", "--passphrase", "correct horse")
    desk.wv("inspect", "carol.pem")
    desk.wv("resync", "--perspective", "alice.pem", "--passphrase", "ignored")


def test_new_secret_without_a_terminal_says_what_to_do(desk: Desk) -> None:
    said = desk.refused("mke")
    assert "--nopassphrase" in said
    assert said.count("\n") == 1


def test_decryption_is_granted(desk: Desk) -> None:
    """Its attestation carries keys, which makes it larger than any entity."""
    desk.wv(
        "rtgrant", "--attester", "ns.pem", "--subject", "alice.pem", "-e", "1y",
        "-o", "decrypt.pem", "wave:decrypt@ns.pem/a/*",
    )  # fmt: skip
    assert (desk.directory / "decrypt.pem").stat().st_size > 100_000
    desk.wv("rtprove", "--subject", "alice.pem", "-o", "d.pem", "wave:decrypt@ns.pem/a/b")
    grant = str(desk.json("inspect", "decrypt.pem")["hash"])
    seen = desk.json("resolve", "--perspective", "alice.pem", grant)
    assert seen["policy"]["statements"][0]["permissions"] == ["decrypt"]


def test_expired_entity_is_shown_and_refused(desk: Desk) -> None:
    """An expiry of nothing is legal: the entity is over as soon as it is made."""
    desk.wv("mke", "--nopassphrase", "-e", "0s", "-o", "gone.pem")
    said = desk.wv("inspect", "gone.pem")
    assert "   - Valid: false\n   - Expired: true\n" in said
    assert said.endswith("   - Message: Entity expired\n")
    assert desk.refused("resync", "--perspective", "gone.pem") == (
        "error: (304: could not create perspective ((304: perspective entity is invalid: "
        "Entity expired)))\n"
    )
    said = desk.refused(
        "rtgrant", "--attester", "ns.pem", "--subject", "gone.pem", "--skipsync",
        "wavemq:publish@ns.pem/a",
    )  # fmt: skip
    assert said == "error: (301: subject is not valid: Entity expired)\n"
    said = desk.refused(*GRANT, "wavemq:publish@gone.pem/a")
    assert said == "error: (304: namespace is not valid: Entity expired)\n"


def test_unpublished_namespace_is_not_found(desk: Desk) -> None:
    desk.wv("mke", "--nopassphrase", "--nopublish", "-o", "secretive.pem")
    said = desk.refused(*GRANT, "wavemq:publish@secretive.pem/a")
    assert said.startswith("error: (909: failed to find namespace")


def test_several_grants_at_once_all_succeed(desk: Desk) -> None:
    """Processes share the state directory and the storage."""
    with ThreadPoolExecutor(4) as pool:
        said = pool.map(
            lambda number: desk.wv(*GRANT, f"wavemq:p{number}@ns.pem/together"), range(4)
        )
        assert all(text.endswith("published attestation\n") for text in said)
    statements = [f"wavemq:p{number}@ns.pem/together" for number in range(4)]
    desk.wv("rtprove", "--subject", "alice.pem", "-o", "together.pem", *statements)


GRANT = ("rtgrant", "--attester", "ns.pem", "--subject", "alice.pem", "--skipsync")
REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "bad expiry": ((*GRANT, "-e", "soon", "wavemq:publish@ns.pem/a"), "bad expiry\n"),
    "no statement": (GRANT, "need to specify some statements\n"),
    "no attester": (
        ("rtgrant", "--subject", "alice.pem", "wavemq:publish@ns.pem/a"),
        "missing attesting entity secret\n",
    ),
    "no subject of a grant": (
        ("rtgrant", "--attester", "ns.pem", "wavemq:publish@ns.pem/a"),
        'could not resolve name "": (909: name could not be resolved ((304: invalid WAVE name)))\n',
    ),
    "attester is no secret": (
        ("rtgrant", "--attester", "grant.pem", "--subject", "alice.pem", "wavemq:a@ns.pem/a"),
        "PEM is not an entity secret\n",
    ),
    "attester is no pem": (
        ("rtgrant", "--attester", "home/state", "--subject", "alice.pem", "wavemq:a@ns.pem/a"),
        'could not read file "home/state": no such file or directory\n',
    ),
    "garbage attester": (
        ("rtgrant", "--attester", "garbage", "--subject", "alice.pem", "wavemq:a@ns.pem/a"),
        'file "garbage" is not a PEM file\n',
    ),
    "garbage subject": (
        ("rtgrant", "--attester", "ns.pem", "--subject", "garbage", "wavemq:a@ns.pem/a"),
        'file "garbage" holds no entity: ',
    ),
    "subject is a grant": (
        ("rtgrant", "--attester", "ns.pem", "--subject", "grant.pem", "wavemq:a@ns.pem/a"),
        'file "grant.pem" holds no entity: (905: ',
    ),
    "bad hash": (
        (*GRANT, "wavemq:a@" + "*" * 48 + "/a"),
        'bad base64: "************************************************"\n',
    ),
    "hash of no kind": ((*GRANT, "wavemq:a@" + "A" * 48 + "/a"), "error: (305: "),
    "name": ((*GRANT, "wavemq:a@acme/a"), 'could not resolve name "acme": (909: '),
    "two namespaces": (
        (*GRANT, "wavemq:a@ns.pem/a", "wavemq:a@bob.pem/a"),
        "all statements in a single attestation must concern the same namespace\n",
    ),
    "bad resource": ((*GRANT, "wavemq:publish@ns.pem/a//b"), "error: (304: "),
    "decrypt with others": ((*GRANT, "wave:decrypt,other@ns.pem/a"), "error: (915: "),
    "unknown location": (
        ("mke", "--nopassphrase", "--revocationlocation", "moon"),
        "error: [910] (910: ",
    ),
    "publish of a proof-less file": (
        ("publish", "garbage"),
        'file "garbage" is not a PEM file\n',
    ),
    "publish at no location": (("publish", "--location", "moon", "ns.pem"), "error: (910: "),
    "inspect garbage": (("inspect", "garbage"), "error: (304: could not decode contents"),
    "inspect nothing": (("inspect", "none.pem"), 'could not read file "none.pem": '),
    "resolve a name": (("resolve", "acme.example"), "could not resolve name: [909] (909: "),
    "no perspective": (("resync",), "missing perspective entity secret\n"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_is_one_sentence(local_desk: Desk, case: str) -> None:
    (local_desk.directory / "garbage").write_bytes(b"\x00\xffgarbage")
    arguments, says = REFUSALS[case]
    said = local_desk.refused(*arguments)
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_files_that_are_no_proofs_are_reported_and_skipped(desk: Desk) -> None:
    (desk.directory / "garbage").write_bytes(b"\x00\xffgarbage")
    said = desk.wv("verify", "none.pem", "garbage")
    assert said == (
        'could not read file "none.pem": no such file or directory\n'
        'file "garbage" is not a PEM file\n'
    )


def test_wrong_proof_is_refused_with_its_code(desk: Desk) -> None:
    said = desk.refused("verify", "grant.pem")
    assert re.fullmatch(r"error: \[(\d+)\] \(\1: .*\)\n", said)


def test_publishing_a_proof_is_refused(desk: Desk) -> None:
    desk.wv("rtprove", "--subject", "alice.pem", "-o", "p.pem", "wavemq:publish@ns.pem/building/1")
    assert desk.refused("publish", "p.pem") == 'unknown block type "WAVE EXPLICIT PROOF"\n'


def test_json_tells_failures_too(desk: Desk) -> None:
    said = desk.refused("--json", "resolve", "acme")
    assert json.loads(said)["error"]["code"] == 909
