"""End-to-end encryption: messages per second by themselves.

Nothing is shared between messages but tables: each has keys of its own. Through a router that
encrypts what is published and decrypts it for the subscriber: `python -m bench compare encrypted`.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Final

from bench.measurement import Measurement
from wavemq.clock import Instant
from wavemq.crypto.encapsulation import Openers
from wavemq.wave.bundle import ContentKey, KeyBundle, LabelKey
from wavemq.wave.encrypted import ReaderKeys, decrypt_message, encrypt_message, message_partition
from wavemq.wave.encrypted_bulk import Opening, Sealing, decrypt_messages, encrypt_messages
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import WEEK_NS, bundle_partitions, e2ee_prefix, matches

PARTITION: Final = "bench/sealed"
PAYLOAD_BYTES: Final = 128
BULK: Final = 32
ROUNDS: Final = 5
URL: Final = "http://bench.invalid/v1"


def measurements() -> list[Measurement]:
    """Encrypt and decrypt in this process, one at a time and in bulk."""
    now = Instant(time.time_ns())
    whole = Instant(now // 10**9 * 10**9)
    namespace, reader = (
        EntitySecret.create(
            not_before=whole, not_after=Instant(whole + 4 * WEEK_NS), revocation_location=None
        )
        for _ in range(2)
    )
    place = Location(URL)
    entity = namespace.entity
    content = os.urandom(PAYLOAD_BYTES)
    partition = message_partition(PARTITION, now, now)
    patterns = bundle_partitions(
        e2ee_prefix("bench/*", is_message=False), whole, Instant(whole + 3 * WEEK_NS)
    )
    bundle = KeyBundle.derive(entity.oaque_params, namespace.oaque_master, patterns)
    label = LabelKey.extract(
        entity.ibe_params_bytes, namespace.ibe_master, entity.hash.to_text().encode()
    )
    fitting: list[ContentKey] = [key for key in bundle.keys if matches(key.pattern, partition)]
    held = ReaderKeys(entity, (label,), lambda _: fitting)
    openers = Openers()

    def encrypt() -> bytes:
        return encrypt_message(
            content,
            namespace=entity,
            namespace_location=place,
            resource=PARTITION,
            not_before=now,
            not_after=now,
        )

    sealings = [Sealing(content, entity, place, partition)] * BULK
    message = encrypt()
    openings = [Opening(message, reader, lambda _: held)] * BULK
    assert decrypt_messages(openings[:1], openers) == [content]
    return [
        _rate("encrypt, one by one", 1, encrypt),
        _rate("encrypt, in bulk", BULK, lambda: encrypt_messages(sealings)),
        _rate("decrypt, one by one", 1, lambda: decrypt_message(message, reader, lambda _: held)),
        _rate("decrypt, in bulk", BULK, lambda: decrypt_messages(openings, openers)),
    ]


def _rate(name: str, count: int, operation: Callable[[], object]) -> Measurement:
    """Return the median rate over a few rounds, each long enough to measure."""
    operation()
    rates, cpu_us = [], []
    for _ in range(ROUNDS):
        repeats = max(1, 64 // count)
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            operation()
        rates.append(repeats * count / (time.perf_counter() - began))
        cpu_us.append((time.process_time() - began_cpu) / (repeats * count) * 1e6)
    note = f"{PAYLOAD_BYTES} bytes, {statistics.median(cpu_us):.0f} us of CPU each"
    return Measurement(name, statistics.median(rates), "/s", note=note)
