"""One run of a command: its agent, its clock, its output.

Owns opening and closing the agent, and the steps that several commands share: asking it, loading a
secret, synchronizing. Refuses to know the commands. Fault model: storage may be away: what is
already known is then used, and the user is told on standard error; a daemon may be away: that ends
the command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

from google.protobuf.message import Message

from wavemq.agent import calls
from wavemq.agent.calls import Agent, Call
from wavemq.cli.wv.files import read_file, reason_of
from wavemq.cli.wv.output import Output
from wavemq.cli.wv.passphrases import ask_passphrase, is_terminal
from wavemq.cli.wv.pem_files import pem_block
from wavemq.cli.wv.settings import Settings
from wavemq.cli.wv.text import UsageFaultError
from wavemq.clock import Clock, Instant, instant_from_milliseconds
from wavemq.errors import (
    AgentUnreachableError,
    InternalError,
    InvalidParameterError,
    PassphraseRequiredError,
    StorageError,
    WaveMQError,
    error_from_wire,
)
from wavemq.wave.keyring import is_protected
from wavemq.wave.pem import ENTITY_SECRET
from wavemq.wave.validity import Validity
from wavemq.wire import wave_pb2 as pb

QUESTION: Final = "passphrase for entity secret: "
_FAR: Final = Instant(2**63 - 1)

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class _Answer(Protocol):
    """What all responses have in common."""

    error: pb.Error

    def HasField(self, field_name: str, /) -> bool: ...  # noqa: N802 - protobuf's name


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with.

    Attributes:
        agent: a daemon, or one in this process.
        clock: what time it is.
        output: where results go.
    """

    agent: Agent
    clock: Clock
    output: Output

    def now(self) -> Instant:
        """Return the present instant."""
        return self.clock.now()

    async def ask(self, call: Call[Q, A], request: Q) -> A:
        """Return the agent's answer.

        Raises:
            WaveMQError: the answer is an error.
            AgentUnreachableError: the daemon does not answer.
        """
        answer = await self.agent.call(call, request)
        told = cast("_Answer", answer)
        if told.HasField("error"):
            raise error_from_wire(told.error.code, told.error.message)
        return answer

    async def synchronize(self, perspective: pb.Perspective) -> tuple[str, ...]:
        """Learn what storage holds for a perspective, showing progress.

        Returns:
            Sentences about storages that did not answer.

        Raises:
            WaveMQError: the perspective cannot be used.
        """
        await self.ask(calls.RESYNC, pb.ResyncPerspectiveGraphParams(perspective=perspective))
        state = pb.SyncResponse()
        last = ""
        async for state in self.agent.wait_for_sync(pb.SyncParams(perspective=perspective)):
            if state.HasField("error"):
                raise error_from_wire(state.error.code, state.error.message)
            line = f"Synchronized {state.completedSyncs}/{state.totalSyncRequests} entities"
            if line != last and state.totalSyncRequests:
                last = line
                self.output.line(line)
        self.output.line("Perspective graph sync complete")
        return _failures(state)

    async def synchronize_or_warn(self, perspective: pb.Perspective) -> None:
        """Synchronize before doing something else; failures of storage are only told."""
        for failure in await self.synchronize(perspective):
            self.output.warn(f"going on with what is known: {failure}")

    async def synchronize_quietly(self, perspective: pb.Perspective) -> None:
        """Learn what storage holds, without a word but for failures of storage."""
        request = pb.ResyncPerspectiveGraphParams(perspective=perspective)
        await self.ask(calls.RESYNC, request)
        state = pb.SyncResponse()
        async for state in self.agent.wait_for_sync(pb.SyncParams(perspective=perspective)):
            if state.HasField("error"):
                raise error_from_wire(state.error.code, state.error.message)
        for failure in _failures(state):
            self.output.warn(f"going on with what is known: {failure}")

    async def locate(self, entity: bytes, perspective: pb.Perspective | None) -> pb.Location:
        """Return where an entity is stored; the default location if the agent alone knows it.

        Raises:
            LookupFailureError: no storage has it.
            InvalidParameterError: it is not an entity.
        """
        found = await self.ask(
            calls.RESOLVE_HASH, pb.ResolveHashParams(hash=entity, perspective=perspective)
        )
        if not found.HasField("entity"):
            raise InvalidParameterError("the hash is that of an attestation, not of an entity")
        return found.location if found.HasField("location") else pb.Location()

    def clock_note(self, valid_from_ms: int) -> str:
        """Return what to say about a beginning in the future; mostly empty."""
        begin = instant_from_milliseconds(valid_from_ms)
        return Validity(begin, _FAR).clock_note(self.now())


@asynccontextmanager
async def open_session(settings: Settings, clock: Clock, output: Output) -> AsyncIterator[Session]:
    """Open the agent, and close it at the end.

    Raises:
        ConfigError: the storage configuration is wrong, or the state directory unusable.
        StorageFaultError: the state directory cannot be used.
        UsageFaultError: the daemon does not answer.
    """
    if settings.daemon is not None:
        from wavemq.agent.remote import connect_agent

        async with connect_agent(settings.daemon) as daemon:
            try:
                yield Session(daemon, clock, output)
            except AgentUnreachableError as error:
                raise UsageFaultError(
                    f"failed to connect to agent: {error.reason}", code=int(error.code)
                ) from error
        return
    if settings.local is None:
        raise InternalError("there is neither a daemon nor a configuration")
    from wavemq.agent.opening import open_local_agent

    async with open_local_agent(settings.local, clock) as agent:
        yield Session(agent, clock, output)


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


def perspective_of(path: str, role: str, passphrase: str) -> pb.Perspective:
    """Return the perspective of an entity secret file, asking for a passphrase if it has one.

    Args:
        path: of a PEM file.
        role: who it is, for the sentence when no file was named.
        passphrase: from the command line; ignored when the secret is not protected.

    Raises:
        UsageFaultError: there is no file, or it is something else.
        PassphraseRequiredError: it is protected, none was given and there is no terminal.
        InvalidParameterError: the secret is malformed.
    """
    der = read_secret_file(path, role)
    given = b""
    try:
        if is_protected(der):
            given = passphrase.encode() or _ask(path)
    except PassphraseRequiredError:
        raise
    except WaveMQError as error:
        raise InvalidParameterError("could not create perspective", cause=error) from error
    return pb.Perspective(entitySecret=pb.EntitySecret(DER=der, passphrase=given))


def _ask(path: str) -> bytes:
    if not is_terminal():
        raise PassphraseRequiredError(
            f'the entity secret "{path}" is protected and there is no terminal to ask at: '
            "give --passphrase"
        )
    return ask_passphrase(QUESTION)


def _failures(state: pb.SyncResponse) -> tuple[str, ...]:
    """Return what the storages said that did not answer well."""
    return tuple(
        status.info["error"]
        for _, status in sorted(state.storageStatus.items())
        if "error" in status.info
    )


def storage_failures(failures: tuple[str, ...]) -> StorageError:
    """Return the error of a command whose purpose was to synchronize."""
    return StorageError("; ".join(failures))
