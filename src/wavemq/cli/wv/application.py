"""The command line of `wv`: names, flags, help, exit statuses.

Owns what wave.md 13 says about arguments: flags and variables of the original, its words and
statuses for wrong usage. Refuses to do the work; the modules that do are loaded when a command
runs, so that help appears at once. Fault model: whatever is typed and whatever fails, the command
ends with a sentence and a status, never with a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn, Unpack

import click

from wavemq.cli.wv.flags import GoCommand, GoGroup, UnknownTopicError, usage_sentence
from wavemq.cli.wv.options import (
    DEFAULT_ENTITY,
    DEFAULT_EXPIRY,
    EntityFlags,
    ExplainFlags,
    GlobalFlags,
    GrantFlags,
    GraphFlags,
    NameFlags,
    ProofFlags,
    ResolveFlags,
    RevokeFlags,
    expiry_option,
    file_option,
    files_option,
    nopublish_option,
    outfile_option,
    passphrase_option,
    skipsync_option,
    statements_option,
)
from wavemq.cli.wv.performing import STATUS_ERROR, perform

if TYPE_CHECKING:
    from wavemq.cli.wv.session import Session

COMPATIBLE_VERSION: Final = "0.4.2"
"""The version of the original whose behaviour this command has."""
STATUS_UNKNOWN_COMMAND: Final = 3
STATUS_INTERRUPTED: Final = 130


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
@expiry_option
@click.option("--revocationlocation", default="", help="Name of the location of its revocation.")
@click.option("--passphrase", default="", metavar="TEXT", help="Protects the secret.")
@click.option("--nopassphrase", is_flag=True, help="Leave the secret without protection.")
@nopublish_option
@outfile_option
@click.pass_obj
def mkentity(flags: GlobalFlags, **given: Unpack[EntityFlags]) -> None:
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

    perform(flags, work)


@wv.command(cls=GoCommand)
@expiry_option
@file_option("--attester", DEFAULT_ENTITY, "Entity secret of who grants.")
@click.option(
    "--indirections", "--indir", default="", metavar="N", help="How often it may be passed on."
)
@click.option("--subject", default="", metavar="ENTITY", help="Who receives it.")
@click.option("--partition", default="", help="Visibility: who may discover it, such as a/b.")
@passphrase_option
@nopublish_option
@skipsync_option
@outfile_option
@statements_option
@click.pass_obj
def rtgrant(flags: GlobalFlags, statements: tuple[str, ...], **given: Unpack[GrantFlags]) -> None:
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

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--subject", DEFAULT_ENTITY, "Entity secret of who shall be proven to be allowed.")
@passphrase_option
@skipsync_option
@outfile_option
@statements_option
@click.pass_obj
def rtprove(flags: GlobalFlags, statements: tuple[str, ...], **given: Unpack[ProofFlags]) -> None:
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

    perform(flags, work)


@wv.command(cls=GoCommand)
@files_option
@click.pass_obj
def verify(flags: GlobalFlags, files: tuple[str, ...]) -> None:
    """Check proofs and show what they prove."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.grants import verify as check

        await check(session, files)

    perform(flags, work)


@wv.command(cls=GoCommand)
@files_option
@click.pass_obj
def inspect(flags: GlobalFlags, files: tuple[str, ...]) -> None:
    """Show the entities and attestations in files."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.entities import inspect as show

        await show(session, files)

    perform(flags, work)


@wv.command(cls=GoCommand)
@click.option("--location", "locations", multiple=True, help="Name of a location; repeatable.")
@files_option
@click.pass_obj
def publish(flags: GlobalFlags, locations: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Publish the entities and attestations in files."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.entities import publish as store

        await store(session, files, locations)

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--perspective", DEFAULT_ENTITY, "Entity secret whose keys are used to read.")
@passphrase_option
@skipsync_option
@click.argument("hashes", nargs=-1, metavar="HASHES_OR_NAMES...")
@click.pass_obj
def resolve(flags: GlobalFlags, hashes: tuple[str, ...], **given: Unpack[ResolveFlags]) -> None:
    """Show the entities and attestations that hashes and names stand for."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.views import resolve as show

        await show(
            session,
            hashes,
            perspective_file=given["perspective"],
            passphrase=given["passphrase"],
            is_synchronized=not given["skipsync"],
        )

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--perspective", DEFAULT_ENTITY, "Entity secret whose grants are looked for.")
@passphrase_option
@click.pass_obj
def resync(flags: GlobalFlags, perspective: str, passphrase: str) -> None:
    """Read everything that storage holds for an entity."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.views import resync as learn

        await learn(session, perspective_file=perspective, passphrase=passphrase)

    perform(flags, work)


@wv.command(cls=GoCommand)
@click.pass_obj
def listlocations(flags: GlobalFlags) -> None:
    """Show the storage locations."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.locations import list_locations

        await list_locations(session)

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--attester", DEFAULT_ENTITY, "Entity secret of who gives the name.")
@click.option(
    "--expiry", "-e", envvar=DEFAULT_EXPIRY, default="1000d", show_default=True, help="How long."
)
@passphrase_option
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
def name(flags: GlobalFlags, arguments: tuple[str, ...], **given: Unpack[NameFlags]) -> None:
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

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--attester", DEFAULT_ENTITY, "Entity secret of who made it.")
@click.option("--attestation", default="", metavar="HASH|FILE", help="A grant to revoke.")
@click.option("--entity", default="", metavar="FILE", help="An entity secret to revoke.")
@click.option("--name", default="", metavar="HASH|NAME", help="A name declaration to revoke.")
@passphrase_option
@click.pass_obj
def revoke(flags: GlobalFlags, **given: Unpack[RevokeFlags]) -> None:
    """Revoke an entity, a grant or a name. There is no way back."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.revoking import RevokeRequest
        from wavemq.cli.wv.revoking import revoke as take_back

        await take_back(session, RevokeRequest(**given))

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--perspective", DEFAULT_ENTITY, "Entity secret whose knowledge is drawn.")
@passphrase_option
@skipsync_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "svg", "json"]),
    default="text",
    show_default=True,
    help="A tree of lines, Graphviz, a picture, or one JSON object per entity and grant.",
)
@outfile_option
@click.pass_obj
def graph(flags: GlobalFlags, **given: Unpack[GraphFlags]) -> None:
    """Draw who granted what to whom, until when."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.pictures import draw

        await draw(
            session,
            perspective_file=given["perspective"],
            passphrase=given["passphrase"],
            is_synchronized=not given["skipsync"],
            form=given["form"],
            outfile=given["outfile"],
        )

    perform(flags, work)


@wv.command(cls=GoCommand)
@file_option("--perspective", DEFAULT_ENTITY, "Entity secret whose knowledge is used.")
@click.option(
    "--subject", default="", metavar="ENTITY", help="Of whom; the perspective if left out."
)
@passphrase_option
@skipsync_option
@statements_option
@click.pass_obj
def explain(flags: GlobalFlags, statements: tuple[str, ...], **given: Unpack[ExplainFlags]) -> None:
    """Say why an entity can or cannot do a thing; status 1 if it cannot."""

    async def work(session: Session) -> None:
        from wavemq.cli.wv.pictures import show_why

        is_granted = await show_why(
            session,
            statements,
            subject=given["subject"],
            perspective_file=given["perspective"],
            passphrase=given["passphrase"],
            is_synchronized=not given["skipsync"],
        )
        if not is_granted:
            raise click.exceptions.Exit(STATUS_ERROR)

    perform(flags, work)


@wv.command(cls=GoCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Put `eval "$(wv completion bash)"` into ~/.bashrc, the same with zsh into ~/.zshrc, or run
    `wv completion fish > ~/.config/fish/completions/wv.fish`.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    print(found(wv, {}, "wv", "_WV_COMPLETE").source())
