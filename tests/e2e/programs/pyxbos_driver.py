"""A pyxbos driver, run by the environment of pyxbos: reports a temperature, prints what is written.

Arguments: router address, entity file, namespace hash. Ends when it is killed.
"""

from __future__ import annotations

import sys
from typing import Any

from pyxbos import iot_pb2, nullabletypes_pb2, xbos_pb2  # type: ignore[import-not-found]  # its own venv
from pyxbos.driver import Driver  # type: ignore[import-not-found]  # its own venv


class Thermostat(Driver):  # type: ignore[misc]  # pyxbos has no types
    """Reports 21.5 degrees each half second."""

    def setup(self, cfg: Any) -> None:
        self.base = cfg["base_resource"]

    def read(self, requestid: Any = None) -> None:
        thermostat = iot_pb2.Thermostat(temperature=nullabletypes_pb2.Double(value=21.5))
        state = iot_pb2.XBOSIoTDeviceState(time=1, thermostat=thermostat)
        self.report("state", xbos_pb2.XBOS(XBOSIoTDeviceState=state))

    def write(self, uri: str, since: float, message: Any) -> None:
        value = message.XBOSIoTDeviceState.thermostat.temperature.value
        sys.stdout.write(f"written {uri} {value} {0 <= since < 60}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    address, entity, namespace = sys.argv[1:]
    Thermostat(
        {
            "wavemq": address,
            "entity": entity,
            "namespace": namespace,
            "base_resource": "building/thermostat",
            "id": "driver-1",
            "rate": 0.5,
        }
    ).begin()
