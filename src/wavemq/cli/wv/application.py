"""The command line of `wv`: names, flags, help, exit statuses.

Owns what wave.md 13 says about arguments: flags and variables of the original, its words and
statuses for wrong usage. Refuses to do the work; the modules that do are loaded when a command
runs, so that help appears at once. Fault model: whatever is typed and whatever fails, the command
ends with a sentence and a status, never with a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypedDict, Unpack

import click

from wavemq.cli.wv.flags import GoCommand, GoGroup, UnknownTopicError, usage_sentence

if TYPE_CHECKING:
    from wavemq.cli.wv.output import Output
    from wavemq.cli.wv.session import Session
    from wavemq.cli.wv.settings import Settings

COMPATIBLE_VERSION: Final = "0.4.2"
"""The version of the original whose behaviour this command has."""
STATUS_ERROR: Final = 1
STATUS_UNKNOWN_COMMAND: Final = 3
STATUS_INTERRUPTED: Final = 130
DEFAULT_ENTITY: Final = "WAVE_DEFAULT_ENTITY"
DEFAULT_EXPIRY: Final = "WAVE_DEFAULT_EXPIRY"


@dataclass(frozen=True, slots=True)
class GlobalFlags:
    """What stands before the command."""

    config: str | None
    agent: str | None
    is_json: bool


class _EntityFlags(TypedDict):
    expiry: str
    revocationlocation: str
    passphrase: str
    nopassphrase: bool
    nopublish: bool
    outfile: str


class _GrantFlags(TypedDict):
    expiry: str
    attester: str
    indirections: str
    subject: str
    partition: str
    passphrase: str
    nopublish: bool
    skipsync: bool
    outfile: str


class _ProofFlags(TypedDict):
    subject: str
    passphrase: str
    skipsync: bool
    outfile: str


class _NameFlags(TypedDict):
    attester: str
    expiry: str
    passphrase: str
    public: bool
    namespace: str
    partition: str
    for_delegates: bool


class _RevokeFlags(TypedDict):
    attester: str
    attestation: str
    entity: str
    name: str
    passphrase: str


class _ResolveFlags(TypedDict):
    perspective: str
    passphrase: str
    skipsync: bool


class _Commands(GoGroup):
    aliases: ClassVar[Mapping[str, str]] = {"mke": "mkentity", "lsloc": "listlocations"}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `wv` and end the process with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away; keep the interpreter from failing once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STATUS_ERROR
    return status


def _run(arguments: Sequence[str]) -> int:
    try:
        status = wv.main(list(arguments), prog_name="wv", standalone_mode=False)
    except UnknownTopicError as error:
        print(f"No help topic for '{error.topic}'", file=sys.stderr)
        return STATUS_UNKNOWN_COMMAND
    except click.UsageError as error:
        # The original prints its help and succeeds; scripts rely on neither, people on the help.
        print(f"Incorrect Usage: {usage_sentence(error)}\n")
        print((error.ctx or click.Context(wv, info_name="wv")).get_help())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return STATUS_INTERRUPTED
    return status if isinstance(status, int) else 0


def _file_flag(name: str, variable: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, envvar=variable, default="", metavar="FILE", help=text)


_expiry = click.option(
    "--expiry",
    "-e",
    envvar=DEFAULT_EXPIRY,
    default="30d",
    show_default=True,
    help="How long it is valid: such as 1y, 30d, 12h, 5m, 10s, or several in this order.",
)
_outfile = click.option("--outfile", "-o", default="", metavar="FILE", help="Where to write it.")
_passphrase = click.option(
    "--passphrase",
    default="",
    metavar="TEXT",
    help="Of the entity secret; asked for on a terminal if the secret has one.",
)
_nopublish = click.option("--nopublish", is_flag=True, help="Write the file, publish nothing.")
_skipsync = click.option(
    "--skipsync", is_flag=True, help="Use what is known; read no queues from storage."
)
_statements = click.argument("statements", nargs=-1, metavar="STATEMENTS...")
_files = click.argument("files", nargs=-1, metavar="FILES...")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    metavar="FILE",
    help="Storage configuration (TOML); else $WAVE_CONFIG, /etc/wave/wave.toml, or local storage.",
)
@click.option(
    "--agent",
    envvar="WAVE_AGENT",
    metavar="HOST:PORT",
    help="A WAVE daemon to use (or unix:PATH); without one the work is done in this process.",
)
@click.option("--json", "is_json", is_flag=True, help="Print results as JSON, one per line.")
@click.version_option(COMPATIBLE_VERSION, "--version", "-v", message="%(prog)s version %(version)s")
@click.pass_context
def wv(ctx: click.Context, config: str | None, agent: str | None, is_json: bool) -> None:  # noqa: FBT001
    """Make and check WAVE entities, grants and proofs; part of WAVEMQ.

    Works without a daemon. What was learned is kept in $WAVE_HOME (~/.local/share/wave).
    An ENTITY is a file of it, a hash of 48 characters, one of wave, wavemq, jedi, or a name.
    A STATEMENT is permset:perm[,perm...]@namespace/resource.
    """
    ctx.obj = GlobalFlags(config, agent, is_json)


@wv.command(cls=GoCommand)
@_expiry
@click.option("--revocationlocation", default="", help="Name of the location of its revocation.")
@click.option("--passphrase", default="", metavar="TEXT", help="Protects the secret.")
@click.option("--nopassphrase", is_flag=True, help="Leave the secret without protection.")
@_nopublish
@_outfile
@click.pass_obj
def mkentity(flags: GlobalFlags, **given: Unpack[_EntityFlags]) -> None:
    """Make an entity: write its secret, publish its public part."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.entities import EntityRequest, make_entity

        request = EntityRequest(
            expiry=given["expiry"],
            revocation_location=given["revocationlocation"],
            passphrase=given["passphrase"],
            is_unprotected=given["nopassphrase"],
            is_published=not given["nopublish"],
            outfile=given["outfile"],
        )
        await make_entity(session, request)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_expiry
@_file_flag("--attester", DEFAULT_ENTITY, "Entity secret of who grants.")
@click.option(
    "--indirections", "--indir", default="", metavar="N", help="How often it may be passed on."
)
@click.option("--subject", default="", metavar="ENTITY", help="Who receives it.")
@click.option("--partition", default="", help="Visibility: who may discover it, such as a/b.")
@_passphrase
@_nopublish
@_skipsync
@_outfile
@_statements
@click.pass_obj
def rtgrant(flags: GlobalFlags, statements: tuple[str, ...], **given: Unpack[_GrantFlags]) -> None:
    """Grant permissions on resources to an entity."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.grants import GrantRequest, grant

        request = GrantRequest(
            expiry=given["expiry"],
            attester=given["attester"],
            subject=given["subject"],
            indirections=given["indirections"],
            partition=given["partition"],
            passphrase=given["passphrase"],
            is_published=not given["nopublish"],
            is_synchronized=not given["skipsync"],
            outfile=given["outfile"],
            statements=statements,
        )
        await grant(session, request)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_file_flag("--subject", DEFAULT_ENTITY, "Entity secret of who shall be proven to be allowed.")
@_passphrase
@_skipsync
@_outfile
@_statements
@click.pass_obj
def rtprove(flags: GlobalFlags, statements: tuple[str, ...], **given: Unpack[_ProofFlags]) -> None:
    """Prove that an entity has permissions on resources."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.grants import ProofRequest, prove

        request = ProofRequest(
            subject=given["subject"],
            passphrase=given["passphrase"],
            is_synchronized=not given["skipsync"],
            outfile=given["outfile"],
            statements=statements,
        )
        await prove(session, request)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_files
@click.pass_obj
def verify(flags: GlobalFlags, files: tuple[str, ...]) -> None:
    """Check proofs and show what they prove."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.grants import verify as perform

        await perform(session, files)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_files
@click.pass_obj
def inspect(flags: GlobalFlags, files: tuple[str, ...]) -> None:
    """Show the entities and attestations in files."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.entities import inspect as perform

        await perform(session, files)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@click.option("--location", "locations", multiple=True, help="Name of a location; repeatable.")
@_files
@click.pass_obj
def publish(flags: GlobalFlags, locations: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Publish the entities and attestations in files."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.entities import publish as perform

        await perform(session, files, locations)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_file_flag("--perspective", DEFAULT_ENTITY, "Entity secret whose keys are used to read.")
@_passphrase
@_skipsync
@click.argument("hashes", nargs=-1, metavar="HASHES_OR_NAMES...")
@click.pass_obj
def resolve(flags: GlobalFlags, hashes: tuple[str, ...], **given: Unpack[_ResolveFlags]) -> None:
    """Show the entities and attestations that hashes and names stand for."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.views import resolve as perform

        await perform(
            session,
            hashes,
            perspective_file=given["perspective"],
            passphrase=given["passphrase"],
            is_synchronized=not given["skipsync"],
        )

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_file_flag("--perspective", DEFAULT_ENTITY, "Entity secret whose grants are looked for.")
@_passphrase
@click.pass_obj
def resync(flags: GlobalFlags, perspective: str, passphrase: str) -> None:
    """Read everything that storage holds for an entity."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.views import resync as perform

        await perform(session, perspective_file=perspective, passphrase=passphrase)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@click.pass_obj
def listlocations(flags: GlobalFlags) -> None:
    """Show the storage locations."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.locations import list_locations

        await list_locations(session)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_file_flag("--attester", DEFAULT_ENTITY, "Entity secret of who gives the name.")
@click.option(
    "--expiry", "-e", envvar=DEFAULT_EXPIRY, default="1000d", show_default=True, help="How long."
)
@_passphrase
@click.option("--public", is_flag=True, help="Let everybody read it.")
@click.option("--namespace", default="", metavar="ENTITY", help="Whose readers may read it.")
@click.option("--partition", default="", help="Which of them, such as a/b.")
@click.option(
    "--for-delegates",
    is_flag=True,
    help="Let those read it who hold keys of the namespace, and not the namespace alone.",
)
@click.argument("arguments", nargs=-1, metavar="ENTITY NAME")
@click.pass_obj
def name(flags: GlobalFlags, arguments: tuple[str, ...], **given: Unpack[_NameFlags]) -> None:
    """Name an entity; without --public or --namespace only the attester can read it."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.naming import NameRequest, declare

        request = NameRequest(
            attester=given["attester"],
            expiry=given["expiry"],
            passphrase=given["passphrase"],
            is_public=given["public"],
            namespace=given["namespace"],
            partition=given["partition"],
            is_for_delegates=given["for_delegates"],
            arguments=arguments,
        )
        await declare(session, request)

    _perform(flags, work)


@wv.command(cls=GoCommand)
@_file_flag("--attester", DEFAULT_ENTITY, "Entity secret of who made it.")
@click.option("--attestation", default="", metavar="HASH|FILE", help="A grant to revoke.")
@click.option("--entity", default="", metavar="FILE", help="An entity secret to revoke.")
@click.option("--name", default="", metavar="HASH|NAME", help="A name declaration to revoke.")
@_passphrase
@click.pass_obj
def revoke(flags: GlobalFlags, **given: Unpack[_RevokeFlags]) -> None:
    """Revoke an entity, a grant or a name. There is no way back."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.revoking import RevokeRequest
        from wavemq.cli.wv.revoking import revoke as perform

        await perform(session, RevokeRequest(**given))

    _perform(flags, work)


def _perform(flags: GlobalFlags, work: Callable[[Session], Awaitable[None]]) -> None:
    """Run a command that needs the engine."""
    import asyncio
    import logging

    import structlog

    # The command itself tells what failed; the parts' own log would only repeat it.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

    async def with_session(settings: Settings, output: Output) -> None:
        from wavemq.cli.wv.session import open_session
        from wavemq.clock import SystemClock

        async with open_session(settings, SystemClock(), output) as session:
            await work(session)

    _perform_plain(flags, lambda settings, output: asyncio.run(with_session(settings, output)))


def _perform_plain(flags: GlobalFlags, work: Callable[[Settings, Output], None]) -> None:
    """Run a command; print what goes wrong and end with status 1."""
    from wavemq.cli.wv.output import Output
    from wavemq.cli.wv.settings import read_settings
    from wavemq.cli.wv.text import UsageFaultError
    from wavemq.errors import ConfigError, InternalError, WaveMQError

    output = Output(is_json=flags.is_json)
    try:
        work(read_settings(flags.config, os.environ, daemon=flags.agent), output)
    except UsageFaultError as error:
        output.failure(str(error), code=error.code)
    except ConfigError as error:
        output.failure(f"error: {error.reason}", code=int(error.code))
    except WaveMQError as error:
        output.failure(f"error: {error}", code=int(error.code))
    except (BrokenPipeError, click.ClickException):
        raise
    except Exception as error:  # noqa: BLE001 - a command line shows no traceback
        fault = InternalError(f"{type(error).__name__}: {error}; please report this")
        output.failure(f"error: {fault}", code=int(fault.code))
    else:
        return
    raise click.exceptions.Exit(STATUS_ERROR)
