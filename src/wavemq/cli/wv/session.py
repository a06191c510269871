"""One run of a command: its storages, its engine, its clock, its output.

Owns opening and closing them, and the steps that several commands share: loading a secret,
becoming a perspective, synchronizing. Refuses to know the commands. Fault model: storage may be
away; what is already known is then used, and the user is told on standard error.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavemq.authz.discovery import SyncProgress
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.perspective import Perspective
from wavemq.cli.wv.files import read_file, reason_of
from wavemq.cli.wv.output import Output
from wavemq.cli.wv.passphrases import ask_passphrase, is_terminal
from wavemq.cli.wv.pem_files import pem_block
from wavemq.cli.wv.settings import Settings
from wavemq.cli.wv.text import UsageFaultError
from wavemq.clock import Clock, Instant
from wavemq.errors import (
    InvalidParameterError,
    PassphraseRequiredError,
    StorageError,
    WaveMQError,
)
from wavemq.net.objects import LocationRouter
from wavemq.wave.keyring import EntitySecret, is_protected
from wavemq.wave.pem import ENTITY_SECRET

PROGRESS_SECONDS: Final = 0.5
"""Between two lines of progress."""
QUESTION: Final = "passphrase for entity secret: "


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with.

    Attributes:
        engine: authority, in this process.
        storages: where objects are, by location.
        clock: what time it is.
        output: where results go.
    """

    engine: Engine
    storages: LocationRouter
    clock: Clock
    output: Output

    def now(self) -> Instant:
        """Return the present instant."""
        return self.clock.now()

    async def perspective(self, secret: EntitySecret) -> Perspective:
        """Return the view of an entity, which must be valid now.

        Raises:
            InvalidParameterError: it is not.
            StorageError: its revocation could not be checked.
        """
        validity = await self.engine.entity_validity(secret.entity, now=self.now())
        if not validity.is_valid:
            raise _no_perspective(
                InvalidParameterError(f"perspective entity is invalid: {validity.explanation}")
            )
        return await self.engine.perspective(secret)

    async def synchronize(self, perspective: Perspective) -> tuple[str, ...]:
        """Learn what storage holds for a perspective, showing progress.

        Returns:
            Sentences about storages that did not answer.
        """
        progress = _Progress(self.output)
        report = await self.engine.resync(perspective, now=self.now(), progress=progress.show)
        progress.show_last(SyncProgress(report.requested, report.completed, report.opened))
        self.output.line("Perspective graph sync complete")
        return report.failures

    async def synchronize_or_warn(self, perspective: Perspective) -> None:
        """Synchronize before doing something else; failures of storage are only told."""
        for failure in await self.synchronize(perspective):
            self.output.warn(f"going on with what is known: {failure}")


@asynccontextmanager
async def open_session(settings: Settings, clock: Clock, output: Output) -> AsyncIterator[Session]:
    """Open storages and engine, and close them at the end.

    Raises:
        ConfigError: the storage configuration is wrong.
        StorageFaultError: the state directory cannot be used.
    """
    async with AsyncExitStack() as stack:
        storages = await stack.enter_async_context(settings.location_router())
        make_private_directory(settings.state_directory)
        config = EngineConfig(
            default_location=storages.default_location,
            locations=storages.locations,
            default_to_unrevoked=settings.is_default_unrevoked,
            revocation_ttl_s=settings.revocation_ttl_s,
            revocation_grace_s=settings.revocation_grace_s,
        )
        engine = Engine(storages, settings.state_directory, config)
        stack.push_async_callback(engine.aclose)
        yield Session(engine, storages, clock, output)


def make_private_directory(directory: Path) -> None:
    """Make the state directory; it holds keys, so nobody else may look into it.

    Raises:
        UsageFaultError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageFaultError(
            f'could not make the state directory "{directory}": {reason_of(error)}; '
            "set WAVE_HOME to another one"
        ) from error


def read_secret_file(path: str, role: str) -> bytes:
    """Return the DER of an entity secret file, still protected if it is.

    Args:
        path: of a PEM file.
        role: who it is, for the sentence when no file was named.

    Raises:
        UsageFaultError: there is none, or it is something else.
    """
    if not path:
        raise UsageFaultError(f"missing {role} entity secret")
    try:
        content = read_file(path)
    except OSError as error:
        raise UsageFaultError(f'could not read file "{path}": {reason_of(error)}') from error
    block = pem_block(content, path)
    if block.kind != ENTITY_SECRET:
        raise UsageFaultError("PEM is not an entity secret")
    return block.der


def open_secret(der: bytes, path: str, passphrase: str) -> EntitySecret:
    """Return an entity secret, asking for its passphrase only if it has one.

    Args:
        der: as `read_secret_file` returns it.
        path: for the sentence when nobody can be asked.
        passphrase: from the command line; ignored when the secret is not protected.

    Raises:
        PassphraseRequiredError: it is protected, none was given and there is no terminal.
        InvalidParameterError: the passphrase is wrong or the secret malformed.
    """
    given: bytes | None = None
    try:
        if is_protected(der):
            given = passphrase.encode() or _ask(path)
        return EntitySecret.from_bytes(der, given)
    except PassphraseRequiredError:
        raise
    except WaveMQError as error:
        raise _no_perspective(error) from error


def _ask(path: str) -> bytes:
    if not is_terminal():
        raise PassphraseRequiredError(
            f'the entity secret "{path}" is protected and there is no terminal to ask at: '
            "give --passphrase"
        )
    return ask_passphrase(QUESTION)


def _no_perspective(cause: WaveMQError) -> InvalidParameterError:
    return InvalidParameterError("could not create perspective", cause=cause)


def storage_failures(failures: tuple[str, ...]) -> StorageError:
    """Return the error of a command whose purpose was to synchronize."""
    return StorageError("; ".join(failures))


class _Progress:
    """Prints the state of synchronization: at once, then at most twice a second."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._next_s = 0.0
        self._last = ""

    def show(self, progress: SyncProgress) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PROGRESS_SECONDS
            self._print(progress)

    def show_last(self, progress: SyncProgress) -> None:
        self._print(progress)

    def _print(self, progress: SyncProgress) -> None:
        line = f"Synchronized {progress.completed}/{progress.requested} entities"
        if line != self._last:
            self._last = line
            self._output.line(line)
