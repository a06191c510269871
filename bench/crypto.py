"""Pairing cryptography: what one operation of each kind costs on one core."""

from __future__ import annotations

import os

from bench.measurement import Measurement, median_milliseconds
from wavemq._kernel import WkdParams
from wavemq.crypto import lqibe, wkdibe

ROUNDS = 60
CONTENT = os.urandom(56)
FULL = tuple(b"component %d" % slot for slot in range(20))
TWELVE: wkdibe.Pattern = FULL[:12] + (b"",) * 8
BULK_KEYS = 62


def measurements() -> list[Measurement]:
    """Return the medians, with the bounds that this project set for itself."""
    fresh, master = wkdibe.setup()
    params = wkdibe.Params.from_bytes(fresh.to_bytes())
    key = master.derive(params, FULL)
    parent = master.derive(params, TWELVE)
    top = master.derive(params, (FULL[0], *(b"",) * 19))
    _ = (top.decoded, parent.decoded, key.decoded)
    message = wkdibe.encrypt(params, FULL, CONTENT)
    identity = b"$GLOBAL"
    ibe_params, ibe_master = lqibe.setup()
    ibe_key, point = ibe_master.extract(identity), lqibe.identity_point(identity)
    ibe_message = lqibe.encrypt(ibe_params, identity, CONTENT)

    operations = {
        "encrypt": lambda: wkdibe.encrypt(params, FULL, CONTENT),
        "decrypt": lambda: wkdibe.decrypt(key, params, FULL, message),
        "decrypt by parent": lambda: wkdibe.decrypt(parent, params, FULL, message),
        "delegate": lambda: master.derive(params, TWELVE),
        "qualify": lambda: top.qualify(params, TWELVE),
        "lq encrypt": lambda: lqibe.encrypt(ibe_params, identity, CONTENT),
        "lq decrypt": lambda: lqibe.decrypt(ibe_key, point, ibe_message),
        "params": lambda: WkdParams.from_bytes(params.to_bytes()),
    }

    def milliseconds(operation: str) -> float:
        return median_milliseconds(operations[operation], rounds=ROUNDS)

    bulk = median_milliseconds(
        lambda: wkdibe.derive_many(params, master, [TWELVE] * BULK_KEYS), rounds=7, warmup=1
    )
    return [
        Measurement("WKD-IBE encrypt", milliseconds("encrypt"), "ms", 2.0),
        Measurement("WKD-IBE decrypt", milliseconds("decrypt"), "ms", 2.0),
        Measurement(
            "WKD-IBE decrypt, key for 12 of 20 slots", milliseconds("decrypt by parent"), "ms", 2.0
        ),
        Measurement(
            "WKD-IBE delegate one key, 12 of 20 slots", milliseconds("delegate"), "ms", 2.0
        ),
        Measurement("WKD-IBE qualify a key to 12 of 20 slots", milliseconds("qualify"), "ms", 2.0),
        Measurement("WKD-IBE delegate 62 keys, all cores", bulk, "ms"),
        Measurement("WKD-IBE decode parameters", milliseconds("params"), "ms"),
        Measurement("LQ-IBE encrypt", milliseconds("lq encrypt"), "ms", 2.0),
        Measurement("LQ-IBE decrypt", milliseconds("lq decrypt"), "ms", 1.5),
    ]
