"""`Verified` means "checked": nobody but those who check may say so.

Goal: forgetting a check must be a type error, and working around it must fail here. Method: read
every module of the package and list the calls that make such values.
"""

from __future__ import annotations

import ast
from pathlib import Path

import wavemq

PACKAGE = Path(wavemq.__file__).parent
MAKERS = {
    "Verified": {"authz/admission.py", "authz/publishing.py", "messages/verified.py"},
    # The simulation has a table of who may do what instead of proofs; no program imports it.
    "restored_from_journal": {
        "router/recording.py",
        "testing/simulation/authority.py",
        "testing/simulation/clients.py",
    },
}


def called_name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Subscript):
        function = function.value
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_only_the_named_modules_make_verified_values() -> None:
    found: dict[str, set[str]] = {name: set() for name in MAKERS}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and called_name(node) in found:
                found[called_name(node)].add(path.relative_to(PACKAGE).as_posix())
    assert found == MAKERS
