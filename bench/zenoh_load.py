"""A small load for Eclipse Zenoh, run by the interpreter of `.venv-peers`.

It prints the JSON of the load generator, with what Zenoh can tell. Zenoh does not answer publishes
and keeps nothing: the window counts deliveries. Publisher and subscriber are sessions of this
program, so that its own cost, in Python, is part of what is measured; the router is another
process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import zenoh  # type: ignore[import-not-found]  # lives in the other environment

STAMP = struct.Struct(">QQ")
SETTLE_SECONDS = 1.0
DRAIN_SECONDS_MAX = 10.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def session(mode: str, key: str, address: str) -> Any:  # noqa: ANN401 - Zenoh has no types here
    """Open a session that listens at, or connects to, `address`."""
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5(f"{key}/endpoints", json.dumps([f"tcp/{address}"]))
    config.insert_json5("scouting/multicast/enabled", "false")
    return zenoh.open(config)


def route(address: str) -> None:
    """Be the router, until the program is ended."""
    with session("router", "listen", address):
        threading.Event().wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def load(options: argparse.Namespace) -> dict[str, float]:
    """Publish for some seconds with a window, and return what was found."""
    pid = int(options.watch.rpartition("=")[2])
    window = threading.Semaphore(options.in_flight)
    arrived: list[tuple[int, int]] = []  # number, nanoseconds under way

    def take(sample: Any) -> None:  # noqa: ANN401
        number, sent_ns = STAMP.unpack(sample.payload.to_bytes()[: STAMP.size])
        arrived.append((number, time.monotonic_ns() - sent_ns))
        window.release()

    rest = b"." * (options.payload_bytes - STAMP.size)
    with (
        session("client", "connect", options.publish_to) as reading,
        session("client", "connect", options.publish_to) as writing,
        reading.declare_subscriber("load/*", take),
    ):
        publisher = writing.declare_publisher(
            "load/a", congestion_control=zenoh.CongestionControl.BLOCK
        )
        time.sleep(SETTLE_SECONDS)  # the subscription becomes known

        def publish(first: int, seconds: float) -> int:
            """Return how many were published."""
            started = time.monotonic()
            count = 0
            while time.monotonic() - started < seconds:
                if options.rate:
                    time.sleep(max(0.0, started + count / options.rate - time.monotonic()))
                if not window.acquire(timeout=DRAIN_SECONDS_MAX):
                    break
                publisher.put(STAMP.pack(first + count, time.monotonic_ns()) + rest)
                count += 1
            return count

        def drain(count: int) -> None:
            """Wait until so many have arrived."""
            end = time.monotonic() + DRAIN_SECONDS_MAX
            while len(arrived) < count and time.monotonic() < end:
                time.sleep(0.01)

        warmed = publish(0, options.warmup_seconds)
        drain(warmed)
        arrived.clear()
        cpu_before, own_before = cpu_seconds(pid), time.process_time()
        started = time.monotonic()
        count = publish(warmed, options.seconds)
        seconds = time.monotonic() - started
        drain(count)
        cpu_s = cpu_seconds(pid) - cpu_before
        own_s = time.process_time() - own_before
    numbers = [number for number, _ in arrived]
    latencies = [under_way / 1e3 for _, under_way in arrived]
    percentiles = statistics.quantiles(latencies, n=100)
    rss_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return {
        "seconds": seconds,
        "published_per_s": count / seconds,
        "delivered_per_s": len(arrived) / seconds,
        "latency_p50_us": percentiles[49],
        "latency_p99_us": percentiles[98],
        "latency_max_us": max(latencies),
        "cpu_us_per_message": cpu_s * 1e6 / count,
        "rss_mib": rss_pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "generator_cpu_us_per_message": own_s * 1e6 / count,
        "published": count,
        "dropped": count - len(set(numbers)),
        "duplicated": len(numbers) - len(set(numbers)),
        "reordered": sum(after < before for before, after in itertools.pairwise(numbers)),
        "foreign": 0,
        "unanswered": 0,
    }


def main() -> int:
    """Route, or load and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("route", "load"))
    parser.add_argument("--publish-to", required=True)
    parser.add_argument("--subscribe-to", help="the same; both are one router")
    parser.add_argument("--run", help="ignored: a router remembers nothing of the run before")
    parser.add_argument("--acknowledge", action="store_true", help="ignored")
    parser.add_argument("--watch", default="router=0")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--warmup-seconds", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--payload-bytes", type=int, default=128)
    options = parser.parse_args()
    if options.what == "route":
        route(options.publish_to)
    else:
        print(json.dumps(load(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
