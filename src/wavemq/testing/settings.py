"""The configuration file of a router or agent under test, in the original's layout.

Owns the text of the file. Refuses to check it: the server does. Fault model: none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1:0"
"""Any free port of this machine; the ready line tells which."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What distinguishes one router of a test from another.

    Args:
        directory: where the router keeps everything, its configuration included.
        storage: locations of objects: name to the keys of its table, such as `provider`.
        uplinks: designated routers: namespace (text form of its hash) to `host:port`.
        routing_proofs: files that make this router the designated one of their namespaces.
        local_listen: the door for programs.
        peer_listen: the door for site routers; None for a router that has none.
        metrics_listen: where metrics are served.
        queue_length_max: messages in one queue, of subscribers and toward an uplink.
        queue_expiry_s: how long an undrained queue lives at most.
        is_default_unrevoked: whether silence of storage counts as "not revoked".
        revocation_interval_s: within which a revocation takes effect; None for the default.
        revocation_grace_s: how long "not revoked" outlives silence; None for the default.
    """

    directory: Path
    storage: dict[str, dict[str, str]]
    uplinks: dict[str, str] = field(default_factory=dict)
    routing_proofs: tuple[Path, ...] = ()
    local_listen: str = LOOPBACK
    peer_listen: str | None = None
    metrics_listen: str = LOOPBACK
    queue_length_max: int = 10_000
    queue_expiry_s: int = 86_400
    is_default_unrevoked: bool = True
    revocation_interval_s: int | None = None
    revocation_grace_s: int | None = None

    @property
    def config_path(self) -> Path:
        """The configuration file."""
        return self.directory / "router.toml"

    @property
    def entity_path(self) -> Path:
        """The router's own entity secret; the router makes it when it does not exist."""
        return self.directory / "router.ent"

    def to_toml(self) -> str:
        """Return the text of the configuration file."""
        state = self.directory / "state"
        lines = [
            "[WaveConfig]",
            f"  database = {toml_text(state / 'wave')}",
            f"  defaultToUnrevoked = {str(self.is_default_unrevoked).lower()}",
        ]
        for key, seconds in (
            ("revocationCheckInterval", self.revocation_interval_s),
            ("revocationGrace", self.revocation_grace_s),
        ):
            if seconds is not None:
                lines.append(f"  {key} = {seconds}")
        lines.append("  [WaveConfig.storage]")
        for name, keys in self.storage.items():
            lines.append(f"    [WaveConfig.storage.{name}]")
            lines += [f"    {key} = {toml_text(value)}" for key, value in keys.items()]
        lines += [
            "[QueueConfig]",
            f"  queueDataStore = {toml_text(state / 'queue')}",
            f"  queueExpiry = {self.queue_expiry_s}",
            f"  subscriptionQueueMaxLength = {self.queue_length_max}",
            "  subscriptionQueueMaxSize = 100",
            f"  trunkingQueueMaxLength = {self.queue_length_max}",
            "  trunkingQueueMaxSize = 1000",
            "  flushInterval = 30",
            "[LocalConfig]",
            f"  listenAddr = {toml_text(self.local_listen)}",
        ]
        if self.peer_listen is not None:
            lines += ["[PeerConfig]", f"  listenAddr = {toml_text(self.peer_listen)}"]
        lines += [
            "[RoutingConfig]",
            f"  PersistDataStore = {toml_text(state / 'persist')}",
            f"  RouterEntityFile = {toml_text(self.entity_path)}",
        ]
        if self.routing_proofs:
            files = ", ".join(toml_text(path) for path in self.routing_proofs)
            lines.append(f"  DesignatedNamespaceFiles = [{files}]")
        for namespace, address in self.uplinks.items():
            lines += [
                "  [[RoutingConfig.Router]]",
                f"    Namespace = {toml_text(namespace)}",
                f"    Address = {toml_text(address)}",
            ]
        return "\n".join(lines) + "\n"

    def write(self) -> Path:
        """Write the configuration file and return its path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(self.to_toml())
        return self.config_path


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What distinguishes one WAVE daemon of a test from another.

    Args:
        directory: where the daemon keeps everything, its configuration included.
        storage: locations of objects: name to the keys of its table, such as `provider`.
        listen: where gRPC is served.
        http_listen: where the HTTP gateway is served; None for nowhere.
        unix: path of a Unix socket for gRPC; None for none.
        is_default_unrevoked: whether silence of storage counts as "not revoked".
    """

    directory: Path
    storage: dict[str, dict[str, str]]
    listen: str = LOOPBACK
    http_listen: str | None = LOOPBACK
    unix: Path | None = None
    is_default_unrevoked: bool = False

    @property
    def config_path(self) -> Path:
        """The configuration file."""
        return self.directory / "wave.toml"

    def to_toml(self) -> str:
        """Return the text of the configuration file."""
        lines = [
            f"database = {toml_text(self.directory / 'state')}",
            f"listenIp = {toml_text(self.listen)}",
            f"defaultToUnrevoked = {str(self.is_default_unrevoked).lower()}",
        ]
        if self.http_listen is not None:
            lines.append(f"httpListenIp = {toml_text(self.http_listen)}")
        if self.unix is not None:
            lines.append(f"listenUnix = {toml_text(self.unix)}")
        lines.append("[storage]")
        for name, keys in self.storage.items():
            lines.append(f"  [storage.{name}]")
            lines += [f"  {key} = {toml_text(value)}" for key, value in keys.items()]
        return "\n".join(lines) + "\n"

    def write(self) -> Path:
        """Write the configuration file and return its path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(self.to_toml())
        return self.config_path


def toml_text(value: str | Path) -> str:
    """Return a TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(str(value))
