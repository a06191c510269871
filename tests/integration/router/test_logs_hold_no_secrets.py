"""What two routers log, at every level, while they do all that they do, holds no secret.

Goal: no private key, passphrase, prover key, handed-on key or encrypted content reaches a log line
or an answer. Method: run a designated router and a site in this process with every log line
caught, lesser levels and the standard library's included; publish, subscribe and query, encrypted
and not; then misuse every door: a wrong passphrase, damaged secrets, missing grants, a false
storage object. Search all of it for every spelling of every secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.routers import ground, running
from tests.support.secret_spellings import secrets_of, shown
from tests.support.stubs import LocalClient
from tests.support.waiting import until_answered
from wavemq.wave.attestation_open import open_with_prover_key
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb

PASSPHRASE = b"passphrase of the service, right"
WRONG_PASSPHRASE = b"passphrase of the service, wrong"
CONTENT = b"content for granted readers only"
TAKE_SECONDS_MAX = 15.0


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[EventDict]]:
    with caplog.at_level(logging.DEBUG), capture_logs() as caught:
        yield caught


def text_of(lines: list[EventDict], caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join([*(json.dumps(line, default=repr) for line in lines), caplog.text])


async def test_nothing_secret_is_logged_or_answered(
    tmp_path: Path, lines: list[EventDict], caplog: pytest.LogCaptureFixture
) -> None:
    secrets = [PASSPHRASE, WRONG_PASSPHRASE, CONTENT]
    answers: list[str] = []
    async with ground(tmp_path, "designated", "service", "stranger") as made:
        world = made.world
        grants = [
            await world.grant(
                "namespace", "service", "publish,subscribe,query", "*", is_encrypted=True
            ),
            await world.grant_decryption("service", "*"),
        ]
        for grant in grants:
            opened = open_with_prover_key(grant.attestation, grant.prover_key)
            secrets.append(grant.prover_key)
            secrets += [label.secret for label in opened.label_keys]
            secrets += [key.secret for bundle in opened.bundles for key in bundle.keys]
        for name in ("namespace", "designated", "service", "stranger"):
            secrets += secrets_of(world[name])
        async with running(await made.designated_settings("designated"), made.clock) as cloud:
            uplink = str(cloud.peer)
            settings = made.settings("site", uplink=uplink)
            async with (
                running(settings, made.clock) as site,
                grpc.aio.insecure_channel(str(site.local)) as channel,
            ):
                client = LocalClient(channel)
                for secret, passphrase in (
                    (world["service"].to_bytes(PASSPHRASE), PASSPHRASE),
                    (world["service"].to_bytes(PASSPHRASE), WRONG_PASSPHRASE),
                    (world["service"].to_bytes()[:-40], b""),
                    (world["service"].to_bytes()[:-1] + b"\0", PASSPHRASE),
                    (world["stranger"].to_bytes(), PASSPHRASE),
                ):
                    answers += await use(client, perspective(secret, passphrase), made.namespace)
    assert any(CONTENT.decode() in answer for answer in answers)
    assert any("error" in answer for answer in answers)
    assert lines
    assert shown(text_of(lines, caplog), secrets) == []
    assert shown("\n".join(answers), [one for one in secrets if one != CONTENT]) == []


def perspective(secret: bytes, passphrase: bytes) -> mqpb.Perspective:
    return mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret, passphrase=passphrase))


async def use(client: LocalClient, who: mqpb.Perspective, namespace: Hash) -> list[str]:
    """Subscribe, publish and query, whatever comes of it; return the answers as text."""
    answers = []
    subscription = client.subscribe(
        mqpb.SubscribeParams(perspective=who, namespace=namespace.to_bytes(), uri="a/*")
    )
    for partition, is_jedi in (((), False), ((b"a", b"b"), False), ((), True)):
        answer = await client.publish(
            mqpb.PublishParams(
                perspective=who,
                namespace=namespace.to_bytes(),
                uri="a/b",
                content=[mqpb.PayloadObject(schema="text", content=CONTENT)],
                encryptionPartition=partition,
                persist=not is_jedi,  # nobody here has keys to read that back
                encryptWithJEDI=is_jedi,
            )
        )
        answers.append(str(answer))
    async with asyncio.timeout(TAKE_SECONDS_MAX):
        answers.append(str(await subscription.read()))
    subscription.cancel()

    async def is_answered() -> bool:
        query = mqpb.QueryParams(perspective=who, namespace=namespace.to_bytes(), uri="a/+")
        found = [str(one) async for one in client.query(query)]
        answers.extend(found)
        return bool(found)

    await until_answered("the query is answered", is_answered)
    return answers
