"""No panic of the kernel reaches Python as `PanicException`, which no `except Exception` sees.

Method: the Rust sources are read; each function and method that Python can call must run its work
in one of the guards of `kernel/src/bulk.rs`, which make an `InternalError` of a panic, or be listed
here as trivial with the reason. That a guard encloses all of the work is left to the reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from wavemq import _kernel

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted((ROOT / "kernel/src").rglob("*.rs"))

TRIVIAL = {
    # The work, guarded, is in `encapsulated`.
    "lq_encapsulate",
    "lq_encapsulate_with_scalar",
    # Return a field, or a text made of one.
    "WkdParams.slots",
    "WkdParams.__repr__",
    "WkdMasterKey.__repr__",
    "WkdSecretKey.free_slots",
    "WkdSecretKey.__repr__",
    "WkdOpener.__repr__",
    "LqOpener.__repr__",
    "Alarm.fileno",
    "Http2.fileno",
    "LogWriter.fileno",
    # Keep what they are given.
    "MessageCutter.new",
    "MessageVerifier.new",
    "PublishCutter.new",
    # One call of the system each, whose failure is a value.
    "Alarm.new",
    "Alarm.set",
    "Alarm.take",
    "LogWriter.new",
    "LogWriter.take",
    # Give an order to the network's thread, which catches its own panics.
    "Http2.flush",
    "Http2.panic_for_test",
    "Http2.serve",
    "Http2.listen",
    "Http2.stop_listening",
    "Http2.accept",
    "Http2.dial",
    "Http2.read_preamble",
    "Http2.send_preamble",
    "Http2.begin",
    "Http2.leave_all",
    "Http2.end_service",
    "Http2.kill",
    "Http2.call",
    "Http2.headers",
    "Http2.write",
    "Http2.finish",
    "Http2.half_close",
    "Http2.cancel",
    "Http2.answer",
    "Http2.consumed",
}

NOT_CODE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | \br(\#*)".*?"\1 | "(?:\\.|[^"\\])*"
    | '(?:\\[^\n]{1,9}?|[^'\\\n])'  # a character, no lifetime
    """,
    re.VERBOSE | re.DOTALL,
)
CALLABLE = re.compile(r"#\[(?:pyo3::)?(?:(pyfunction)|pymethods)\b")
METHODS_OF = re.compile(r"\bimpl\s+(\w+)")
FUNCTION = re.compile(r"\bfn\s+(\w+)")
GUARD = re.compile(r"(?<![\w.])(?:un)?locked\(")
# What has no place in a body that is called trivial: it panics, or hides that it may.
PANICKING = re.compile(
    r"\.unwrap\(|\.expect\(|\b(?:panic|assert\w*|unreachable)!|[\w)\]]\[|\.borrow(?:_mut)?\("
)


def code_of(text: str) -> str:
    """Blank out comments and literals, in which braces and names mean nothing."""
    return NOT_CODE.sub(lambda found: " " * len(found[0]), text)


def block_at(code: str, start: int) -> tuple[int, int]:
    """Return where the content of the next block in braces begins and ends."""
    begin = code.index("{", start) + 1
    depth, end = 1, begin
    while depth:
        depth += {"{": 1, "}": -1}.get(code[end], 0)
        end += 1
    return begin, end - 1


def bodies(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the body of everything in a Rust source that Python can call."""
    code = code_of(text)
    for attribute in CALLABLE.finditer(code):
        if attribute[1]:
            named = FUNCTION.search(code, attribute.end())
            assert named is not None
            begin, end = block_at(code, named.end())
            yield named[1], code[begin:end]
            continue
        owner = METHODS_OF.search(code, attribute.end())
        assert owner is not None
        at, last = block_at(code, owner.end())
        while named := FUNCTION.search(code, at, last):
            begin, at = block_at(code, named.end())
            yield f"{owner[1]}.{named[1]}", code[begin:at]


def unguarded(text: str) -> dict[str, str]:
    return {name: body for name, body in bodies(text) if not GUARD.search(body)}


PLANTED = """
#[pyfunction]
#[pyo3(signature = (data, *, flag = true))]
fn guarded(py: Python<'_>, data: &[u8]) -> PyResult<u8> {
    if data[0] == b'}' { locked(py, || data[1]) } else { Ok(1) }
}

/// Not for Python.
fn inner(data: &[u8]) -> u8 { data[0] }

#[pyfunction]
fn planted(data: &[u8]) -> u8 {
    // locked(py, || 1), says a comment; so does "{ a string
    let text = "unlocked(py, || {";
    self.locked();
    data[0]
}

#[pymethods]
impl Thing {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        fn nested() -> Self { Self }
        unlocked(py, || nested())
    }

    #[getter]
    fn planted<'py>(&self) -> u8 { self.0['{' as usize] }
}

impl Thing {
    fn own(&self) -> u8 { self.0[0] }
}
"""


def test_a_planted_omission_is_found() -> None:
    names = [name for name, _ in bodies(PLANTED)]
    assert names == ["guarded", "planted", "Thing.new", "Thing.planted"]
    assert set(unguarded(PLANTED)) == {"planted", "Thing.planted"}
    assert all(PANICKING.search(body) for body in unguarded(PLANTED).values())


def test_every_guard_that_is_taken_away_is_missed() -> None:
    for path in SOURCES:
        text = path.read_text()
        bare = re.sub(r"\b(?:un)?locked\(py", "bare(py", text)
        assert set(unguarded(bare)) == {name for name, _ in bodies(text)}, path


def test_everything_that_python_can_call_is_looked_at() -> None:
    found = {name for path in SOURCES for name, _ in bodies(path.read_text())}
    classes = {name: value for name, value in vars(_kernel).items() if isinstance(value, type)}
    functions = {name for name, value in vars(_kernel).items() if callable(value)} - set(classes)
    methods = {
        f"{owner}.{name}"
        for owner, value in classes.items()
        for name in vars(value)
        if not name.startswith("__") and not name.isupper()
    }
    assert functions
    assert methods
    assert functions | methods <= found


def test_what_python_calls_catches_its_panics() -> None:
    bare = {name: body for path in SOURCES for name, body in unguarded(path.read_text()).items()}
    # Both ways: an entry that guards its work by now, or is gone, is to leave the list.
    assert set(bare) == TRIVIAL
    assert [name for name, body in bare.items() if PANICKING.search(body)] == []
