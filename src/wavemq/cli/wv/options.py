"""What the commands of `wv` take: their flags, and the values that these become.

Owns flags that several commands share, and the types of all. Refuses to know what they are for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import click

DEFAULT_ENTITY: Final = "WAVE_DEFAULT_ENTITY"
DEFAULT_EXPIRY: Final = "WAVE_DEFAULT_EXPIRY"


@dataclass(frozen=True, slots=True)
class GlobalFlags:
    """What stands before the command."""

    config: str | None
    agent: str | None
    is_json: bool


class EntityFlags(TypedDict):
    """Flags of `mkentity`, as typed."""

    expiry: str
    revocationlocation: str
    passphrase: str
    nopassphrase: bool
    nopublish: bool
    outfile: str


class GrantFlags(TypedDict):
    """Flags of `rtgrant`, as typed."""

    expiry: str
    attester: str
    indirections: str
    subject: str
    partition: str
    passphrase: str
    nopublish: bool
    skipsync: bool
    outfile: str


class ProofFlags(TypedDict):
    """Flags of `rtprove`, as typed."""

    subject: str
    passphrase: str
    skipsync: bool
    outfile: str


class NameFlags(TypedDict):
    """Flags of `name`, as typed."""

    attester: str
    expiry: str
    passphrase: str
    public: bool
    namespace: str
    partition: str
    for_delegates: bool


class RevokeFlags(TypedDict):
    """Flags of `revoke`, as typed."""

    attester: str
    attestation: str
    entity: str
    name: str
    passphrase: str


class GraphFlags(TypedDict):
    """Flags of `graph`, as typed."""

    perspective: str
    passphrase: str
    skipsync: bool
    form: str
    outfile: str


class ExplainFlags(TypedDict):
    """Flags of `explain`, as typed."""

    perspective: str
    subject: str
    passphrase: str
    skipsync: bool


class ResolveFlags(TypedDict):
    """Flags of `resolve`, as typed."""

    perspective: str
    passphrase: str
    skipsync: bool


def file_option(name: str, variable: str, text: str) -> Callable[[Any], Any]:
    """Return a flag that names a file and has an environment variable."""
    return click.option(name, envvar=variable, default="", metavar="FILE", help=text)


expiry_option = click.option(
    "--expiry",
    "-e",
    envvar=DEFAULT_EXPIRY,
    default="30d",
    show_default=True,
    help="How long it is valid: such as 1y, 30d, 12h, 5m, 10s, or several in this order.",
)
outfile_option = click.option(
    "--outfile", "-o", default="", metavar="FILE", help="Where to write it."
)
passphrase_option = click.option(
    "--passphrase",
    default="",
    metavar="TEXT",
    help="Of the entity secret; asked for on a terminal if the secret has one.",
)
nopublish_option = click.option(
    "--nopublish", is_flag=True, help="Write the file, publish nothing."
)
skipsync_option = click.option(
    "--skipsync", is_flag=True, help="Use what is known; read no queues from storage."
)
statements_option = click.argument("statements", nargs=-1, metavar="STATEMENTS...")
files_option = click.argument("files", nargs=-1, metavar="FILES...")
