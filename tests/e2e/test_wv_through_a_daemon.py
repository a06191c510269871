"""`wv` through a real `waved`: the whole story prints what it prints without a daemon."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.console_pages import Shape
from wavemq.testing.processes import AgentProcess, StorageProcess, command_path
from wavemq.testing.settings import AgentSettings

STORY = """
mkentity --nopassphrase --expiry 1y -o ns.pem
mke --nopassphrase -o alice.pem
mke --nopassphrase -o bob.pem
lsloc
inspect alice.pem
name --attester ns.pem --public alice.pem alice
name --attester ns.pem alice.pem private-alice
name --attester ns.pem --namespace ns.pem --partition a/b --for-delegates bob.pem shared
resolve --perspective ns.pem alice
resolve --perspective ns.pem private-alice
resolve --perspective alice.pem private-alice
rtgrant --attester ns.pem --subject alice --indirections 2 -o first.pem wavemq:publish@ns.pem/a/*
rtgrant --attester alice.pem --subject bob.pem -o second.pem wavemq:publish@ns.pem/a/b
rtgrant --attester ns.pem --subject bob.pem -o keys.pem wave:decrypt@ns.pem/a/*
rtgrant --attester ns.pem --subject bob.pem -o jedi.pem jedi:decrypt@ns.pem/a/*
rtgrant --attester ns.pem --subject bob.pem wave:decrypt,publish@ns.pem/a/*
rtprove --subject bob.pem -o proof.pem wavemq:publish@ns.pem/a/b
rtprove --subject bob.pem wavemq:publish@ns.pem/a/c
verify proof.pem
verify first.pem
inspect second.pem
publish second.pem
resync --perspective bob.pem
explain --perspective bob.pem wavemq:publish@ns.pem/a/b
explain --perspective bob.pem wavemq:publish@ns.pem/a/c
revoke --attester bob.pem --attestation second.pem
revoke --attester alice.pem --attestation second.pem
revoke --attester ns.pem --name alice
revoke --attestation short
verify proof.pem
resolve --perspective ns.pem alice
revoke --entity bob.pem
inspect bob.pem
rtprove --subject bob.pem wavemq:publish@ns.pem/a/b
resolve nobody
frobnicate
""".strip().splitlines()

REFUSED = {
    "resolve --perspective alice.pem private-alice": "(909: ",
    "rtgrant --attester ns.pem --subject bob.pem wave:decrypt,publish@ns.pem/a/*": "(915: ",
    "rtprove --subject bob.pem wavemq:publish@ns.pem/a/c": "(911: ",
    "verify first.pem": "(912: ",
    "explain --perspective bob.pem wavemq:publish@ns.pem/a/c": "Missing: a grant from",
    "revoke --attester bob.pem --attestation second.pem": "(304: attestation was not created by",
    "revoke --attestation short": "missing attesting entity secret",
    "verify proof.pem": "(912: proof contains expired or revoked attestations",
    "resolve --perspective ns.pem alice": "(909: ",
    "rtprove --subject bob.pem wavemq:publish@ns.pem/a/b": "Entity has been revoked",
    "resolve nobody": "(909: ",
    "frobnicate": "No help topic for 'frobnicate'",
}
"""Commands whose last call fails, and what they say."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    directory = tmp_path_factory.mktemp("daemon")
    with StorageProcess(directory / "objects") as storage:
        url = f"http://{storage.ready['http']}/v1"
        settings = AgentSettings(
            directory / "agent",
            {"default": {"provider": "http_v1", "url": url}},
            unix=directory / "agent.sock",
        )
        settings.directory.mkdir()
        with AgentProcess(settings) as agent:
            yield agent


def wv(directory: Path, *arguments: str, agent: str = "", config: str = "") -> tuple[int, str]:
    """Run `wv`; return its status and what it printed on both streams."""
    variables = {"WAVE_AGENT": agent} if agent else {"WAVE_CONFIG": config}
    done = subprocess.run(
        [command_path("wv"), *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "WAVE_HOME": str(directory / "home")}
        | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout


def tell(directory: Path, *, agent: str = "", config: str = "") -> list[tuple[str, int, str]]:
    shape = Shape()
    told = []
    for line in STORY:
        status, output = wv(directory, *line.split(), agent=agent, config=config)
        told.append((line, status, shape.of(output)))
    return told


def test_story_is_the_same_with_and_without_a_daemon(daemon: AgentProcess, tmp_path: Path) -> None:
    for name in ("with", "socket", "without"):
        (tmp_path / name).mkdir()
    without = tell(tmp_path / "without", config=str(daemon.settings.config_path))
    last = {line: (status, output) for line, status, output in without}
    assert {line for line, (status, _) in last.items() if status} == set(REFUSED)
    assert all(says in last[line][1] for line, says in REFUSED.items())
    assert tell(tmp_path / "with", agent=daemon.address) == without
    assert tell(tmp_path / "socket", agent=f"unix:{daemon.settings.unix}") == without
    assert (tmp_path / "with" / "home").exists() is False


def post(daemon: AgentProcess, path: str, **fields: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://{daemon.http}{path}", json.dumps(fields).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.loads(response.read())
    return answer


def der_of(path: Path) -> str:
    """Return the base64 between the lines of a PEM file."""
    return "".join(path.read_text().splitlines()[1:-1])


def test_what_wv_made_is_seen_over_http(daemon: AgentProcess, tmp_path: Path) -> None:
    for line in (
        "mke --nopassphrase -o ns.pem",
        "mke --nopassphrase -o alice.pem",
        "rtgrant --attester ns.pem --subject alice.pem wavemq:publish@ns.pem/a/*",
        "rtprove --subject alice.pem -o proof.pem wavemq:publish@ns.pem/a/b",
        "name --attester alice.pem --public ns.pem home",
    ):
        status, output = wv(tmp_path, *line.split(), agent=daemon.address)
        assert status == 0, output
    alice = {"entitySecret": {"DER": der_of(tmp_path / "alice.pem")}}
    inspected = post(daemon, "/v1/Inspect", content=der_of(tmp_path / "alice.pem"))
    own = inspected["entity"]["hash"]
    proof = post(daemon, "/v1/VerifyProof", proofDER=der_of(tmp_path / "proof.pem"))
    assert proof["result"]["subject"] == own
    assert proof["result"]["paths"] == [{"elements": [0]}]
    assert isinstance(proof["result"]["expiry"], str)
    found = post(daemon, "/v1/LookupAttestation", perspective=alice, toEntity=own)
    (grant,) = found["results"]
    assert grant["validity"] == {"valid": True}
    assert grant["body"]["policy"]["rTreePolicy"]["statements"][0]["resource"] == "a/*"
    named = post(daemon, "/v1/ResolveName", perspective=alice, name="home")
    assert named["derivation"][0]["name"] == "home"
    content = base64.b64encode(b"for alice").decode()
    sealed = post(daemon, "/v1/EncryptMessage", content=content, subjectHash=own)
    opened = post(daemon, "/v1/DecryptMessage", perspective=alice, ciphertext=sealed["ciphertext"])
    assert opened == {"content": content}
    signed = post(daemon, "/v1/Sign", perspective=alice, content=content)
    request = {"signer": own, "signature": signed["signature"], "content": content}
    assert post(daemon, "/v1/VerifySignature", **request) == {}
    assert post(daemon, "/v1/Revoke", perspective=alice, revokePerspective=True) == {}
    refused = post(daemon, "/v1/VerifyProof", proofDER=der_of(tmp_path / "proof.pem"))
    assert refused["error"]["code"] == 912


def test_daemon_that_dies_is_told_and_serves_again(tmp_path: Path) -> None:
    settings = AgentSettings(
        tmp_path / "agent",
        {"default": {"provider": "local", "path": str(tmp_path / "objects")}},
    )
    settings.directory.mkdir()
    with AgentProcess(settings) as agent:
        made = wv(tmp_path, "mke", "--nopassphrase", "-o", "one.pem", agent=agent.address)
        assert made == (0, "wrote entity: one.pem\n")
        agent.kill()
        status, output = wv(tmp_path, "inspect", "one.pem", agent=agent.address)
        assert status == 1
        assert output == (
            'failed to connect to agent: connection error: desc = "transport: error while '
            f'dialing: dial tcp {agent.address}: connect: connection refused"\n'
        )
        agent.start()
        status, output = wv(tmp_path, "inspect", "one.pem", agent=agent.address)
        assert status == 0
        assert "   - Valid: true" in output
