"""Entities, grants and proofs made with the `wv` command.

Owns a directory of key files and the calls of `wv` that fill it, each shown to whoever wants to
see them. Refuses to make objects by itself: what these worlds hold is what a user's would. Fault
model: `wv` may fail or hang; the error holds the command and everything it printed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from wavemq.testing.processes import command_path
from wavemq.testing.settings import toml_text
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import Hash

COMMAND_SECONDS_MAX: Final = 60.0


class CommandFailedError(Exception):
    """A command ended with another status than 0; the text holds its output."""


def _ignore(line: str) -> None:
    """Show nothing."""


class World:
    """A directory of throw-away keys under one object storage.

    Args:
        directory: holds the key files; commands run in it, so that they can name files plainly.
        storage: locations of objects: name to the keys of its table; one is named `default`.
        name: of this view of the directory; worlds with other storages may share its keys.
        show: gets each command line before it runs.
    """

    def __init__(
        self,
        directory: Path,
        storage: Mapping[str, Mapping[str, str]],
        *,
        name: str = "wave",
        show: Callable[[str], None] = _ignore,
    ) -> None:
        self.directory = directory
        self._show = show
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / f"{name}.toml"
        lines = ["[storage]"]
        for name, keys in storage.items():
            lines.append(f"  [storage.{name}]")
            lines += [f"  {key} = {toml_text(value)}" for key, value in keys.items()]
        config.write_text("\n".join(lines) + "\n")
        self.environment = {
            "WAVE_CONFIG": str(config),
            "WAVE_HOME": str(directory / f"{name}-home"),
        }

    def path(self, name: str) -> Path:
        """Return the file `name` of this world."""
        return self.directory / name

    def run(self, *arguments: str, is_failure_expected: bool = False) -> str:
        """Run `wv` with `arguments` and return what it printed.

        Raises:
            CommandFailedError: it failed, or, if a failure was expected, succeeded.
        """
        line = shlex.join(["wv", *arguments])
        self._show(line)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WAVE_")}
        done = subprocess.run(  # noqa: S603 - the project's own command
            [command_path("wv"), *arguments],
            cwd=self.directory,
            env={**kept, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        if (done.returncode != 0) is not is_failure_expected:
            raise CommandFailedError(f"{line} ended with status {done.returncode}:\n{output}")
        return output

    def entity(self, name: str, *, expiry: str = "365d", location: str | None = None) -> Path:
        """Make and publish the entity `NAME.pem`, without passphrase; return its file.

        Args:
            name: of the file.
            expiry: how long it is valid.
            location: where it and its revocation are looked for; the storage's default if None.
        """
        outfile = f"{name}.pem"
        chosen = [] if location is None else ["--revocationlocation", location]
        self.run("mkentity", "--expiry", expiry, "--nopassphrase", *chosen, "--outfile", outfile)
        return self.path(outfile)

    def grant(
        self,
        *statements: str,
        attester: str,
        subject: str,
        expiry: str = "90d",
        indirections: int = 0,
    ) -> None:
        """Grant `statements`, as `wavemq:publish@namespace.pem/topic`, between two entities.

        Args:
            statements: what is granted; the namespace is a file of this world.
            attester: name of the granting entity, without `.pem`.
            subject: name of the receiving entity, without `.pem`.
            expiry: how long it is valid.
            indirections: how often it may be handed on.
        """
        self.run(
            "rtgrant",
            "--attester",
            f"{attester}.pem",
            "--subject",
            f"{subject}.pem",
            "--expiry",
            expiry,
            "--indirections",
            str(indirections),
            *statements,
        )

    def prove(self, *statements: str, subject: str, outfile: str) -> Path:
        """Prove `statements` as `subject` and write the proof to `outfile`; return its path."""
        self.run("rtprove", "--subject", f"{subject}.pem", "--outfile", outfile, *statements)
        return self.path(outfile)

    def hash_of(self, name: str) -> Hash:
        """Return the hash of the entity `NAME.pem`."""
        return parse_entity(self.path(f"{name}.pem").read_bytes()).hash
