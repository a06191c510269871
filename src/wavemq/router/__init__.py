"""The router process: configuration, the driver that joins core, disk and network, metrics."""
