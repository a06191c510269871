"""Asking for a passphrase on a real (pseudo) terminal."""

from __future__ import annotations

import os
import pty
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import pytest

from wavemq.cli.wv.passphrases import ask_passphrase, is_terminal

PROMPT = "passphrase: "


@dataclass
class Person:
    """Sits at the terminal: types when the prompt has appeared, and sees what is echoed."""

    terminal: int
    standard_input: IO[bytes]
    standard_output: IO[str]
    seen: bytearray = field(default_factory=bytearray)

    def answer(self, typed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", self.standard_input)
        monkeypatch.setattr(sys, "stdout", self.standard_output)
        threading.Thread(target=self._answer, args=(typed,), daemon=True).start()

    def _answer(self, typed: bytes) -> None:
        self.look_for(PROMPT.encode())
        os.write(self.terminal, typed)

    def look_for(self, text: bytes) -> str:
        while text not in self.seen:
            self.seen += os.read(self.terminal, 1024)
        return self.seen.decode().replace("\r\n", "\n")


@pytest.fixture
def person() -> Iterator[Person]:
    keyboard, screen = pty.openpty()
    with (
        os.fdopen(os.dup(screen), "rb", buffering=0) as standard_input,
        os.fdopen(os.dup(screen), "w") as standard_output,
    ):
        yield Person(keyboard, standard_input, standard_output)
    os.close(screen)
    os.close(keyboard)


@pytest.mark.parametrize(
    ("typed", "passphrase", "echoed"),
    [
        (b"secret\n", b"secret", "******\n"),
        (b"secret\r", b"secret", "******\n"),
        (b"\n", b"", "\n"),
        (b"ab\x7fc\n", b"ac", "**\b \b*\n"),
        (b"\x08\x7fa\n", b"a", "*\n"),
        ("pässwört\n".encode(), "pässwört".encode(), "********\n"),
        ("ü\x7fo\n".encode(), b"o", "*\b \b*\n"),
    ],
)
def test_line_is_read_and_echoed_as_stars(
    person: Person,
    typed: bytes,
    passphrase: bytes,
    echoed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person.answer(typed, monkeypatch)
    assert is_terminal()
    assert ask_passphrase(PROMPT) == passphrase
    assert person.look_for(b"\n") == PROMPT + echoed


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_interruption_aborts_and_restores_the_terminal(
    person: Person, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = termios.tcgetattr(person.standard_input.fileno())
    person.answer(b"sec" + key, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        ask_passphrase(PROMPT)
    assert termios.tcgetattr(person.standard_input.fileno()) == before
    assert person.look_for(b"\n") == PROMPT + "***\n"
