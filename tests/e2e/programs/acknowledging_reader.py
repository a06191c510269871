"""Prints the payload of each message as it comes, and never ends by itself.

Arguments: address of the router, file of the entity, hash of the namespace, filter, name.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import wavemq
from wavemq.wave.hashes import Hash


async def main(address: str, entity: str, namespace: str, topic_filter: str, name: str) -> None:
    """Read for ever, a little slower than messages come."""
    bus = wavemq.connect(address, entity=Path(entity), namespace=Hash.from_text(namespace))
    async with bus, bus.subscribe(topic_filter, name=name) as readings:
        sys.stdout.write("subscribed\n")
        sys.stdout.flush()
        async for message in readings:
            sys.stdout.write(f"{message.text}\n")
            sys.stdout.flush()
            await asyncio.sleep(0.01)


asyncio.run(main(*sys.argv[1:]))
