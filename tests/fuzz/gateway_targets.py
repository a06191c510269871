"""Fuzz targets: JSON bodies of the agent's HTTP gateway, and its configuration."""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf import json_format

from tests.fuzz import agent_targets
from tests.fuzz.fuzz_target import Target, expect
from wavemq.agent import calls
from wavemq.agent.http_gateway import _parse, to_json

_REFUSED: Final = (json_format.ParseError, UnicodeDecodeError, RecursionError)
_CALLS: Final[tuple[calls.Call[Any, Any], ...]] = calls.UNARY


def _body(given: bytes) -> None:
    """Read a body as the request of the call that its first byte chooses."""
    call = _CALLS[given[0] % len(_CALLS)] if given else _CALLS[0]
    request = _parse(call.request, given[1:])
    again = json.dumps(to_json(request)).encode()
    expect(fact=_parse(call.request, again) == request, otherwise="another request")


def _bodies() -> list[bytes]:
    found = [
        bytes((number,)) + json.dumps(to_json(request)).encode()
        for number, call in enumerate(_CALLS)
        for request in agent_targets.honest_requests(call.name)
    ]
    odd = (
        b"{}",
        b"",
        b"null",
        b"[]",
        b'{"name":"\\ud800"}',
        b'{"validFrom":' + b"9" * 5000 + b"}",
        b'{"validFrom":"' + b"9" * 5000 + b'"}',
        b'{"validFrom":1e999}',
        b'{"validFrom":1.5}',
        b'{"validFrom":"0x10"}',
        b'{"indirections":-1}',
        b'{"perspective":{"entitySecret":{"DER":"!"}}}',
        b'{"policy":{"rTreePolicy":{"indirections":4294967296}}}',
        b"[" * 50_000,
        b'{"perspective":' * 500,
        b'{"validFrom":NaN}',
        b'{"name":"a","name":"b"}',
        b"\xff\xfe",
    )
    return found + [bytes((number,)) + body for body in odd for number in (0, 1, 16)]


TARGETS: Final = (Target("gateway_json", _body, _bodies, 1500, _REFUSED),)
