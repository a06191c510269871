"""The storage server as a real process: what it promises survives being killed."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.storage_server import http_table, storage_server
from wavemq.limits import OBJECT_BYTES_MAX
from wavemq.net.objects import LocationRouter
from wavemq.testing.processes import ServerProcess
from wavemq.wave.hashes import Hash


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with storage_server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


def exchange(server: ServerProcess, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request as plainly as the original does: no content type, no token."""
    request = urllib.request.Request(f"http://{server.ready['http']}{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def fields(answer: tuple[int, bytes]) -> tuple[int, Any]:
    return answer[0], json.loads(answer[1])


def as_json(**values: str) -> bytes:
    return json.dumps(values).encode()


def text64(content: bytes) -> str:
    return b64encode(content).decode()


NO_PROOF = dict.fromkeys(
    ("v1smr", "v1mapinclusion", "v1promise", "v1slr", "v1loginclusion", "v1logconsistency")
)


def test_answers_have_the_shapes_of_the_protocol(server: ServerProcess) -> None:
    content = b"\xfb\xff" + secrets.token_bytes(40)
    mine, queue = Hash.of(content), Hash.of(secrets.token_bytes(8))
    multihash = text64(mine.to_bytes())
    assert fields(exchange(server, "/v1/obj", as_json(der=text64(content)))) == (
        201,
        {"hash": multihash, "v1promise": None},
    )
    assert fields(exchange(server, f"/v1/obj/{mine.to_text()}?trusted=0")) == (
        200,
        {"der": text64(content), **NO_PROOF},
    )
    assert fields(
        exchange(server, f"/v1/queue/{queue.to_text()}", as_json(entryHash=multihash))
    ) == (201, {})
    assert fields(exchange(server, f"/v1/queue/{queue.to_text()}?token=&trusted=0")) == (
        200,
        {"hash": multihash, "nextToken": "1", **NO_PROOF},
    )
    assert fields(exchange(server, f"/v1/queue/{queue.to_text()}?token=1&trusted=0")) == (404, {})
    assert fields(exchange(server, f"/v1/obj/{queue.to_text()}?trusted=0")) == (404, {})
    status, banner = fields(exchange(server, "/v1/info"))
    assert (status, banner["hashScheme"]) == (200, "1.3.6.1.4.1.51157.9.2")
    assert banner["version"].startswith("WAVEMQ ")


def test_field_names_match_without_regard_to_case(server: ServerProcess) -> None:
    content = secrets.token_bytes(20)
    status, answer = fields(exchange(server, "/v1/obj", as_json(DER=text64(content))))
    assert (status, answer["hash"]) == (201, text64(Hash.of(content).to_bytes()))


HASH = Hash.of(b"queue").to_text()
SHA3 = "FiAZSVTobuuPkf-YOsxW5shK4pqQfOfnY46GV9UUmbGIpA=="
BAD_REQUESTS: dict[str, tuple[str, bytes | None, int]] = {
    "not json": ("/v1/obj", b"der=1", 400),
    "not an object": ("/v1/obj", b"[1]", 400),
    "deeply nested": ("/v1/obj", b"[" * 100_000, 400),
    "no field": ("/v1/obj", b"{}", 400),
    "not base64": ("/v1/obj", as_json(der="*"), 400),
    "number": ("/v1/obj", b'{"der": 5}', 400),
    "empty object": ("/v1/obj", as_json(der=""), 400),
    "not utf-8": ("/v1/obj", b'{"der": "\xff"}', 400),
    "object too large": ("/v1/obj", as_json(der=text64(bytes(OBJECT_BYTES_MAX + 1))), 413),
    "body too large": ("/v1/obj", b" " * (OBJECT_BYTES_MAX * 4 // 3 + 70_000), 413),
    "bad hash in object path": ("/v1/obj/nonsense", None, 400),
    "other hash scheme": (f"/v1/obj/{SHA3}", None, 400),
    "bad hash in queue path": ("/v1/queue/nonsense", as_json(entryHash=HASH), 400),
    "bad entry": (f"/v1/queue/{HASH}", as_json(entryHash=text64(b"short")), 400),
    "entry of other scheme": (
        f"/v1/queue/{HASH}",
        as_json(entryHash=text64(b"\x16\x20" + bytes(32))),
        400,
    ),
    "bad token": (f"/v1/queue/{HASH}?token=-1", None, 400),
    "huge token": (f"/v1/queue/{HASH}?token={'9' * 18}", None, 404),
    "no prefix": ("/obj/" + HASH, None, 404),
    "no such path": ("/v1/nothing", None, 404),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_request_gets_its_status_and_the_server_goes_on(
    server: ServerProcess, case: str
) -> None:
    path, body, status = BAD_REQUESTS[case]
    assert exchange(server, path, body)[0] == status
    assert exchange(server, "/v1/info")[0] == 200
    assert "Traceback" not in server.log


def test_bad_hash_says_so_in_words(server: ServerProcess) -> None:
    assert exchange(server, f"/v1/queue/{HASH}", as_json(entryHash="AA=="))[1] == b"bad hash"


async def test_answered_writes_survive_kill(tmp_path: Path) -> None:
    """Kill the server right after an answer, many times; everything answered must be there."""
    server = storage_server(tmp_path / "data").start()
    listen = server.ready["http"]
    try:
        async with LocationRouter.from_tables({"default": http_table(server)}) as router:
            location, queue = router.default_location, Hash.of(b"queue")
            answered: list[Hash] = []
            for number in range(3):
                stored = await router.put(location, b"object %d" % number)
                await router.enqueue(location, queue, stored)
                server.kill()
                answered.append(stored)
                server = storage_server(tmp_path / "data", listen=listen).start()
                token, entries = "", []
                while (found := await router.iterate(location, queue, token)) is not None:
                    entries.append(found[0])
                    token = found[1]
                assert entries == answered
                for entry in answered:
                    assert await router.get(location, entry) is not None
    finally:
        server.kill()


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    server = storage_server(tmp_path / "data").start()
    assert server.stop() == 0
    assert server.log == f"ready http={server.ready['http']}"


def test_unfinished_request_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    server = storage_server(tmp_path / "data").start()
    host, _, port = server.ready["http"].rpartition(":")
    with socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"POST /v1/obj HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert server.stop() == 0


def run_storage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wavemq.cli.storage", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_port_in_use_is_said_in_one_line(server: ServerProcess, tmp_path: Path) -> None:
    done = run_storage("--listen", server.ready["http"], "--data", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"wavemq storage: cannot listen at {server.ready['http']}: Address already in use"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("listen", ["8080", ":8080", "host:", "127.0.0.1:99999", "127.0.0.1:-1"])
def test_bad_listen_address_is_a_usage_error(tmp_path: Path, listen: str) -> None:
    done = run_storage("--listen", listen, "--data", str(tmp_path))
    assert done.returncode == 2
    assert "--listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "objects.sqlite3").write_bytes(b"precious notes " * 1000)
    done = run_storage("--listen", "127.0.0.1:0", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "could not be opened" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "objects.sqlite3").read_bytes() == b"precious notes " * 1000


def test_interrupt_ends_it_in_order(tmp_path: Path) -> None:
    server = storage_server(tmp_path / "data").start()
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
