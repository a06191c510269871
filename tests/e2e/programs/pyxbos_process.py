"""A pyxbos control process, run by the environment of pyxbos: doubles what it hears.

Arguments: router address, entity file, namespace hash. Prints what it hears; ends when killed.
"""

from __future__ import annotations

import sys
from typing import Any

from pyxbos import iot_pb2, nullabletypes_pb2, xbos_pb2  # type: ignore[import-not-found]  # its own venv
from pyxbos.process import XBOSProcess, run_loop, schedule  # type: ignore[import-not-found]  # its own venv


def temperature(value: float) -> Any:
    thermostat = iot_pb2.Thermostat(temperature=nullabletypes_pb2.Double(value=value))
    return xbos_pb2.XBOS(
        XBOSIoTDeviceState=iot_pb2.XBOSIoTDeviceState(time=1, thermostat=thermostat)
    )


class Doubler(XBOSProcess):  # type: ignore[misc]  # pyxbos has no types
    """Publishes twice the temperature that it hears."""

    def __init__(self, cfg: Any, namespace: str) -> None:
        super().__init__(cfg)
        self.namespace = namespace
        schedule(self.subscribe_msg(namespace, "building/+/measured", self.heard))

    def heard(self, response: Any) -> None:
        message = response.message
        heard = xbos_pb2.XBOS.FromString(message.tbs.payload[0].content)
        value = heard.XBOSIoTDeviceState.thermostat.temperature.value
        has_times = len(message.timestamps) > 0 and message.timestamps[0] > 10**18
        sys.stdout.write(f"heard {message.tbs.uri} {value} {has_times}\n")
        sys.stdout.flush()
        schedule(self.publish(self.namespace, "building/doubled", temperature(2 * value)))


if __name__ == "__main__":
    address, entity, namespace_text = sys.argv[1:]
    Doubler({"wavemq": address, "entity": entity}, namespace_text)
    run_loop()
