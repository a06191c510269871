"""Frozen dataclasses made in a third of the time, where many are made.

Owns one trick. A frozen dataclass sets each field by `object.__setattr__`, which takes longer than
all else about it: of what a router does for a message, that would be a tenth. Here the fields are
set while the object still is of a class that is not frozen. Refuses classes that do anything else
when they are made. Fault model: none; misuse is found when the module is loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

_KEPT: Final = ("__slots__", "__orig_bases__")
"""What makes objects of both classes alike; the second is for `typing.Generic`."""

P = ParamSpec("P")
T = TypeVar("T")


def quickly(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that does what a class does when it is called.

    Args:
        cls: a frozen dataclass with slots, without `__post_init__` and factories of defaults.

    Raises:
        TypeError: it is another class.
    """
    return cast(Callable[P, T], _made(cls, is_whole=False))


def quickly_whole(cls: Callable[..., T]) -> Callable[..., T]:
    """Return the same for all fields, in their order: those too that `init=False` leaves out."""
    return cast(Callable[..., T], _made(cls, is_whole=True))


def _made(cls: Callable[..., Any], *, is_whole: bool) -> object:
    made = cast(type, cls)
    fields = dataclasses.fields(cast(Any, cls))
    is_plain = all(not one.kw_only and one.default_factory is dataclasses.MISSING for one in fields)
    if hasattr(made, "__post_init__") or "__slots__" not in vars(made) or not is_plain:
        raise TypeError(f"{made.__name__} is not made of its fields alone")
    kept = {name: vars(made)[name] for name in _KEPT if name in vars(made)}
    thawed = type(f"Thawed{made.__name__}", made.__bases__, kept)
    scope: dict[str, Any] = {"_thawed": thawed, "_made": made}
    parameters: list[str] = []
    body: list[str] = []
    for one in fields:
        default = ""
        if one.default is not dataclasses.MISSING:
            default = f"_default_{one.name}"
            scope[default] = one.default
        is_given = one.init or is_whole
        if is_given:
            parameters.append(f"{one.name}={default}" if default else one.name)
        body.append(f" new.{one.name} = {one.name if is_given else default}")
    lines = [f"def make({', '.join(parameters)}):", " new = _thawed()", *body]
    lines += [" new.__class__ = _made", " return new"]
    exec("\n".join(lines), scope)  # noqa: S102 - of names of fields alone, as `dataclasses` does
    return scope["make"]
