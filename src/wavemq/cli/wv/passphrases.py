"""Asking a person for a passphrase.

Owns the terminal while it asks. Refuses to ask when nobody is there: a command in a script fails
with what to do instead of waiting for ever. Fault model: Ctrl-C and end of input abort; the
terminal's settings come back in every case.
"""

from __future__ import annotations

import os
import sys
import termios
import tty
from typing import Final

PASSPHRASE_BYTES_MAX: Final = 4096
_BACKSPACES: Final = b"\x7f\x08"
_ENDS: Final = b"\r\n"
_INTERRUPT: Final = b"\x03"
_END_OF_INPUT: Final = b"\x04"
_UTF8_CONTINUATION: Final = range(0x80, 0xC0)


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def ask_passphrase(prompt: str) -> bytes:
    """Ask on the terminal and return one line, echoing `*` for each character.

    Raises:
        KeyboardInterrupt: Ctrl-C, or the input ended.
    """
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        raw = termios.tcgetattr(handle)
        raw[3] &= ~termios.ISIG  # Ctrl-C comes as a byte, so that the settings come back first
        termios.tcsetattr(handle, termios.TCSANOW, raw)
        _echo(prompt)  # from here on nothing that is typed is lost or shown
        return _read_line(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSANOW, before)
        _echo("\n")


def _read_line(handle: int) -> bytes:
    line = bytearray()
    while len(line) < PASSPHRASE_BYTES_MAX:
        byte = os.read(handle, 1)
        if byte in (b"", _INTERRUPT, _END_OF_INPUT):
            raise KeyboardInterrupt
        if byte in _ENDS:
            break
        if byte in _BACKSPACES:
            _erase(line)
            continue
        line += byte
        if byte[0] not in _UTF8_CONTINUATION:
            _echo("*")
    return bytes(line)


def _erase(line: bytearray) -> None:
    """Remove the last character, all bytes of it."""
    if not line:
        return
    while line and line[-1] in _UTF8_CONTINUATION:
        del line[-1]
    del line[-1:]
    _echo("\b \b")


def _echo(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
