"""The original's way of writing flags, for click.

Owns single dashes before long names, `--flag=true`, aliases of commands, the topic `help`, and the
words for wrong usage. Refuses to know the commands. Fault model: none beyond what click refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import click

SHORT_HELP_CHARACTERS: Final = 70
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class UnknownTopicError(Exception):
    """There is no command of that name."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


class GoCommand(click.Command):
    """A command whose flags may be written as the original's were."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments after turning flags into click's form."""
        return super().parse_args(ctx, _as_click_writes(args, self.get_params(ctx)))


class GoGroup(click.Group):
    """A group with aliases, the topic `help`, and flags as in the original."""

    aliases: ClassVar[Mapping[str, str]] = {}
    """Second names of commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command; without one, show the help."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit()
        parameters = self.get_params(ctx)
        return super().parse_args(ctx, _as_click_writes(args, parameters, is_group=True))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name or its second one."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; `help TOPIC` shows one and ends.

        Raises:
            UnknownTopicError: there is none.
        """
        topic = args[0]
        if topic in {"help", "h"}:
            click.echo(self._help(ctx, args[1:]))
            ctx.exit()
        command = self.get_command(ctx, topic)
        if command is None:
            raise UnknownTopicError(topic)
        return command.name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands with their aliases."""
        second = {name: alias for alias, name in self.aliases.items()}
        rows = [
            (
                f"{name}, {second[name]}" if name in second else name,
                command.get_short_help_str(SHORT_HELP_CHARACTERS),
            )
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _help(self, ctx: click.Context, topics: list[str]) -> str:
        if not topics:
            return ctx.get_help()
        command = self.get_command(ctx, topics[0])
        if command is None:
            raise UnknownTopicError(topics[0])
        return click.Context(command, info_name=command.name, parent=ctx).get_help()


def usage_sentence(error: click.UsageError) -> str:
    """Return what is wrong with flags in the words of the original."""
    match error:
        case click.NoSuchOption():
            return f"flag provided but not defined: -{error.option_name.lstrip('-')}"
        case click.BadOptionUsage():
            return f"flag needs an argument: -{error.option_name.lstrip('-')}"
        case _:
            return error.format_message()


def _as_click_writes(
    args: Sequence[str], parameters: Sequence[click.Parameter], *, is_group: bool = False
) -> list[str]:
    """Return arguments with `-expiry` as `--expiry` and `--flag=false` resolved.

    Args:
        args: as typed.
        parameters: of the command.
        is_group: whether the first argument that is no flag ends the flags.
    """
    by_name = {
        name.lstrip("-"): option
        for option in parameters
        if isinstance(option, click.Option)
        for name in option.opts
    }
    written: list[str] = []
    rest = list(args)
    while rest:
        argument = rest.pop(0)
        if argument == "--" or (is_group and not argument.startswith("-")):
            return [*written, argument, *rest]
        name, equals, value = argument.lstrip("-").partition("=")
        option = by_name.get(name) if argument.startswith("-") else None
        if option is None:
            # Single letters do not combine: `-abc` is one unknown flag, not three.
            is_long = argument.startswith("-") and len(name) > 1
            written.append(f"--{argument.lstrip('-')}" if is_long else argument)
            continue
        dashed = f"--{name}" if len(name) > 1 else f"-{name}"
        if not option.is_flag:
            # A value is taken as it is, even if it looks like a flag.
            written += [dashed, value] if equals else [dashed, *rest[:1]]
            rest = rest if equals else rest[1:]
        elif equals and value in _TRUE | _FALSE:
            written += [dashed] if value in _TRUE else []
        else:
            written.append(argument if equals else dashed)
    return written
