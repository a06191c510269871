"""`waved` as a process: start, doors, state, stop, and everything that keeps it from starting."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.agent_rig import ask, make_person, policy, synchronize, tables
from wavemq.agent import calls
from wavemq.agent.config import AgentConfig
from wavemq.agent.remote import connect_agent
from wavemq.agent.running import BoundAgent, run
from wavemq.clock import SystemClock
from wavemq.net.addresses import Address
from wavemq.testing import AgentProcess, AgentSettings, StorageProcess
from wavemq.testing.processes import command_path
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wire import wave_pb2 as pb

RUN_SECONDS_MAX = 60.0


def waved(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command_path("waved"), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )


def settings(directory: Path) -> AgentSettings:
    return AgentSettings(directory / "agent", tables(directory))


async def locations(address: str) -> set[str]:
    async with connect_agent(address) as agent:
        listed = await ask(agent, calls.LIST_LOCATIONS, pb.ListLocationsParams())
    return set(listed.agentLocations)


def test_version_is_the_originals() -> None:
    shown = waved("--version")
    assert (shown.returncode, shown.stdout) == (0, "waved version 0.4.2\n")


async def test_it_serves_grpc_http_and_a_private_socket_until_sigterm(tmp_path: Path) -> None:
    unix = tmp_path / "waved.sock"
    process = AgentProcess(replace(settings(tmp_path), unix=unix))
    with process:
        assert await locations(process.address) == {"default", "other"}
        assert await locations(f"unix:{unix}") == {"default", "other"}
        assert stat.S_IMODE(unix.stat().st_mode) == 0o600
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"http://{process.http}/v1/ListLocations")
        assert set(answer.json()["agentLocations"]) == {"default", "other"}
        assert process.stop() == 0
    assert not unix.exists()
    assert f"server started on {process.ready['grpc']}" in process.log
    state = process.settings.directory / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_standard_output_has_the_originals_line_alone(tmp_path: Path) -> None:
    config = settings(tmp_path).write()
    with subprocess.Popen(
        [command_path("waved"), "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("server started on 127.0.0.1:")
            assert not line.endswith(":0\n")
            process.send_signal(signal.SIGINT)
            rest, log = process.communicate(timeout=RUN_SECONDS_MAX)
            assert (process.returncode, rest) == (0, "")
            assert '"agent_stopped"' in log
        finally:
            process.kill()


async def test_what_it_learned_survives_being_killed(tmp_path: Path) -> None:
    with (
        StorageProcess(tmp_path / "objects") as storage,
        AgentProcess(AgentSettings(tmp_path / "agent", {"default": storage.location})) as process,
    ):
        async with connect_agent(process.address) as agent:
            namespace, alice = await make_person(agent), await make_person(agent)
            granted = policy(namespace, permission_set=WAVEMQ_PERMISSION_SET.to_bytes())
            made = await ask(
                agent,
                calls.CREATE_ATTESTATION,
                pb.CreateAttestationParams(
                    perspective=namespace.perspective,
                    subjectHash=alice.hash,
                    policy=pb.Policy(rTreePolicy=granted),
                    publish=True,
                ),
            )
            state = await synchronize(agent, alice)
            assert state.completedSyncs == state.totalSyncRequests > 0
        process.kill()
        process.start()
        async with connect_agent(process.address) as agent:
            request = pb.LookupAttestationsParams(
                perspective=alice.perspective, toEntity=alice.hash
            )
            found = await ask(agent, calls.LOOKUP_ATTESTATIONS, request)
            assert [one.hash for one in found.results] == [made.hash]
            storage.stop()
            state = await synchronize(agent, alice)
            assert not state.storageStatus["default"].operational
            assert state.completedSyncs == state.totalSyncRequests
    for log in (process.log, process.log_path.read_text()):
        assert alice.secret.hex() not in log


async def test_socket_of_a_killed_agent_gives_way(tmp_path: Path) -> None:
    unix = tmp_path / "waved.sock"
    with AgentProcess(replace(settings(tmp_path), unix=unix)) as process:
        process.kill()
        assert unix.exists()
        process.start()
        assert await locations(f"unix:{unix}") == {"default", "other"}


async def test_socket_of_a_living_agent_is_left_alone(tmp_path: Path) -> None:
    unix = tmp_path / "waved.sock"
    with AgentProcess(replace(settings(tmp_path), unix=unix)):
        second = replace(settings(tmp_path / "second"), unix=unix)
        (tmp_path / "second").mkdir()
        refused = waved("--config", str(second.write()))
        assert refused.returncode == 1
        assert "another program does" in refused.stdout
        assert await locations(f"unix:{unix}") == {"default", "other"}


def test_file_where_the_socket_should_be_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("content")
    refused = waved("--config", str(replace(settings(tmp_path), unix=file).write()))
    assert refused.returncode == 1
    assert "no socket" in refused.stdout
    assert file.read_text() == "content"


def test_address_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for changed in (
            replace(settings(tmp_path), listen=address),
            replace(settings(tmp_path), http_listen=address),
        ):
            refused = waved("--config", str(changed.write()))
            assert refused.returncode == 1
            assert f"cannot listen at {address}" in refused.stdout
            assert "Traceback" not in refused.stderr


STORAGE = '[storage.default]\nprovider = "http_v1"\nurl = "http://127.0.0.1:9/v1"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("database = ", "could not parse config file: "),
        (f'frobnicate = 1\ndatabase = "DIR"\n{STORAGE}', "could not parse config file: "),
        (f"database = 7\n{STORAGE}", "could not parse config file: "),
        (f'database = "DIR"\nlistenIp = "here"\n{STORAGE}', "could not parse config file: "),
        (
            f'database = "DIR"\nlistenIp = "127.0.0.1:0"\nDATABASE = "DIR"\n{STORAGE}',
            "could not parse config file: ",
        ),
        (
            'database = "DIR"\nlistenIp = "127.0.0.1:0"\n[storage.default]\nversion = 1\n',
            "could not parse config file: ",
        ),
        (f'listenIp = "127.0.0.1:0"\n{STORAGE}', "state database error: "),
        (
            f'database = "/dev/null/x"\nlistenIp = "127.0.0.1:0"\n{STORAGE}',
            "state database error: ",
        ),
        ('database = "DIR"\nlistenIp = "127.0.0.1:0"\n', "storage overlay error: "),
        (
            'database = "DIR"\nlistenIp = "127.0.0.1:0"\n[storage.default]\nprovider = "x"\n',
            "storage overlay error: ",
        ),
        (f'database = "DIR"\n{STORAGE}', "nothing to listen at: "),
    ],
)
def test_mistake_in_the_configuration_is_told_in_one_sentence(
    tmp_path: Path, text: str, expected: str
) -> None:
    config = tmp_path / "wave.toml"
    config.write_text(text.replace("DIR", str(tmp_path / "state")))
    refused = waved("--config", str(config))
    assert refused.returncode == 1
    assert refused.stdout.startswith(expected)
    assert "Traceback" not in refused.stderr


def test_absent_configuration_is_told(tmp_path: Path) -> None:
    refused = waved("--config", str(tmp_path / "absent.toml"))
    assert refused.returncode == 1
    assert refused.stdout.startswith("could not parse config file: ")


@pytest.mark.parametrize(("host", "is_warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_address_that_others_reach_is_warned_of(
    tmp_path: Path, host: str, *, is_warned: bool
) -> None:
    stopping = asyncio.Event()
    bound: list[BoundAgent] = []

    def ready(agent: BoundAgent) -> None:
        bound.append(agent)
        stopping.set()

    config = AgentConfig(
        database=tmp_path / "state",
        storage_tables=tables(tmp_path),
        grpc=Address(host, 0),
        http=Address("127.0.0.1", 0),
    )
    with capture_logs() as lines:
        await run(config, clock=SystemClock(), stopping=stopping, on_ready=ready)
    assert bound[0].grpc is not None
    assert bound[0].grpc.port > 0
    warned = [line for line in lines if line["event"] == "agent_reachable_from_outside"]
    assert len(warned) == int(is_warned)
