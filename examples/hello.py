"""Hello world: publish five encrypted messages and print them as they come back.

Needs a running router, an entity with these grants of the namespace, and nothing else:

    wavemq:publish,subscribe@NAMESPACE/example/*
    wave:decrypt@NAMESPACE/example/*
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import wavemq

MESSAGES = 5


async def hello(address: str, entity: str, namespace: str) -> None:
    """Subscribe to `example/*`, publish to `example/topic`, print what arrives."""
    async with (
        wavemq.connect(address, entity=entity, namespace=namespace) as bus,
        bus.subscribe("example/*", keep_s=60) as subscription,
        asyncio.timeout(60),
    ):
        for _ in range(MESSAGES):
            await bus.publish("example/topic", b"hello world", encryption_partition="example/topic")
        for _ in range(MESSAGES):
            message = await anext(subscription)
            print(message.text, flush=True)


def main() -> int:
    """Read arguments and environment; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--address",
        default=os.environ.get("WAVEMQ_ADDRESS", "127.0.0.1:4516"),
        help="the router's local address (environment WAVEMQ_ADDRESS; default 127.0.0.1:4516)",
    )
    parser.add_argument(
        "--entity",
        default=os.environ.get("WAVE_DEFAULT_ENTITY"),
        help="file with the entity secret (environment WAVE_DEFAULT_ENTITY)",
    )
    parser.add_argument(
        "--namespace",
        default=os.environ.get("WAVEMQ_NAMESPACE"),
        help="hash of the namespace, or a file with its entity (environment WAVEMQ_NAMESPACE)",
    )
    given = parser.parse_args()
    if not given.entity or not given.namespace:
        parser.error("--entity and --namespace are needed, here or in the environment")
    try:
        asyncio.run(hello(given.address, given.entity, given.namespace))
    except wavemq.WaveMQError as error:
        print(f"hello: {error.reason}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("hello: not all messages came back within 60 s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
