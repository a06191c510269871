"""Resource patterns of policies: intersection, containment, validity (wave.md 6.2, 6.3).

Owns the algebra exactly as the original computes it, including where it grants less than the true
intersection: results are compared as strings between implementations. `+` is one element, `*` zero
or more.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_ELEMENT: Final = re.compile(r"[A-Za-z0-9\-_.,()]+")
_CACHED_MAX: Final = 65_536
_CACHED_CHARACTERS_MAX: Final = 4096


def _pick(left: str, right: str) -> str | None:
    """Return what one element of each side has in common; a `*` has nothing here."""
    if "*" in (left, right):
        return None
    if left == right or right == "+":
        return left
    return right if left == "+" else None


def _common(left: list[str], right: list[str]) -> list[str]:
    """Return what both sides have in common from their beginnings on."""
    found = []
    for one, other in zip(left, right, strict=False):
        common = _pick(one, other)
        if common is None:
            break
        found.append(common)
    return found


def _leading(elements: list[str]) -> list[str]:
    """Return the elements before the first `*`."""
    return elements[: elements.index("*")] if "*" in elements else elements[:]


def _trailing(elements: list[str]) -> list[str]:
    """Return the elements after the last `*`."""
    reverse = elements[::-1]
    return (reverse[: reverse.index("*")] if "*" in reverse else reverse)[::-1]


def restrict(from_: str, by: str) -> str | None:
    """Return the intersection of two patterns, or None (wave.md 6.3)."""
    # Policies of strangers may name resources of any length: the cache keeps short ones only.
    if len(from_) + len(by) > _CACHED_CHARACTERS_MAX:
        return _restrict(from_, by)
    return _restrict_cached(from_, by)


@lru_cache(maxsize=_CACHED_MAX)
def _restrict_cached(from_: str, by: str) -> str | None:
    return _restrict(from_, by)


def _restrict(from_: str, by: str) -> str | None:
    """Compute `restrict` in time linear in both lengths."""
    left, right = from_.split("/"), by.split("/")
    out = _common(left, right)
    del left[: len(out)], right[: len(out)]
    tail = _common(left[::-1], right[::-1])[::-1]
    del left[len(left) - len(tail) :], right[len(right) - len(tail) :]
    if left[:1] == ["*"]:
        moved = _leading(right)
        out += moved
        del right[: len(moved)]
    elif right[:1] == ["*"]:
        moved = _leading(left)
        out += moved
        del left[: len(moved)]
    if left[-1:] == ["*"]:
        moved = _trailing(right)
        tail = moved + tail
        del right[len(right) - len(moved) :]
    elif right[-1:] == ["*"]:
        moved = _trailing(left)
        tail = moved + tail
        del left[len(left) - len(moved) :]
    if left == ["*"] and right == ["*"]:
        return "/".join([*out, "*", *tail])
    if left[:1] == ["*"]:
        del left[0]
    if right[:1] == ["*"]:
        del right[0]
    return None if left or right else "/".join(out + tail)


def is_within(resource: str, granted: str) -> bool:
    """Whether every topic of `resource` is one of `granted`, as the original decides it."""
    if _is_plainly_outside(resource, granted):
        return False
    if "*" not in resource and "*" not in granted:
        return resource.count("/") == granted.count("/")
    return restrict(resource, granted) == resource


def _is_plainly_outside(resource: str, granted: str) -> bool:
    """Whether the elements before the first `*` of `granted` already rule `resource` out.

    The intersection begins with those elements or narrower ones, hence cannot be `resource`.
    """
    for one, other in zip(_elements(resource), _elements(granted), strict=False):
        if other == "*":
            return False
        if one != other and (other != "+" or one == "*"):
            return True
    return False


def _elements(resource: str) -> tuple[str, ...]:
    if len(resource) > _CACHED_CHARACTERS_MAX:
        return tuple(resource.split("/"))
    return _elements_cached(resource)


@lru_cache(maxsize=_CACHED_MAX)
def _elements_cached(resource: str) -> tuple[str, ...]:
    return tuple(resource.split("/"))


def is_valid_resource(resource: str) -> bool:
    """Whether a statement may name `resource` (wave.md 6.2)."""
    elements = resource.split("/")
    return elements.count("*") <= 1 and all(
        element in ("*", "+") or _ELEMENT.fullmatch(element) for element in elements
    )
