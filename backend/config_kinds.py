"""What a configuration key's value must be: in words, and as a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Kind:
    """What a key's value must be: in words for messages and documentation, and as a check."""

    words: str
    accepts: Callable[[object], bool]


def setting(default: object, kind: Kind, doc: str) -> Any:  # noqa: ANN401 -- as dataclasses.field
    """A key of the configuration, as a field of its table's dataclass."""
    return field(default=default, metadata={"kind": kind, "doc": doc})


def number(low: int, high: int) -> Kind:
    """A whole number."""

    def accepts(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Kind(f"a whole number from {low} to {high}", accepts)


def seconds(low: float, high: float) -> Kind:
    """A time, in seconds."""

    def accepts(value: object) -> bool:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        )

    return Kind(f"seconds, from {low:g} to {high:g}", accepts)


def one_of(*words: str) -> Kind:
    """One of these."""
    return Kind("one of " + ", ".join(f'"{word}"' for word in words), lambda value: value in words)


def some_of(what: str, words: tuple[str, ...]) -> Kind:
    """A list of any of these."""
    return Kind(
        f"a list of {what}: " + ", ".join(f'"{word}"' for word in words),
        lambda value: isinstance(value, list | tuple) and set(value) <= set(words),
    )


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _are_paths(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_path, value))


def _is_platform(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return value == "xen" or (value.startswith("embedded:") and value != "embedded:")


def _is_path_of_a_target(value: object) -> bool:
    """Without the number, two stub domains would have one file."""
    if not isinstance(value, str) or TARGET not in value:
        return False
    return _is_path(value) and not set("{}") & set(value.replace(TARGET, ""))


def _are_channels(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_channel, value))


def _is_channel(value: object) -> bool:
    if not isinstance(value, str):
        return False
    name, equals, socket = value.partition("=")
    return bool(name) and "/" not in name and (not equals or _is_path_of_a_target(socket))


TARGET: Final = "{target}"
"""Stands in a path for the number of the domain that a stub domain works for."""

BOOLEAN: Final = Kind("true or false", lambda value: isinstance(value, bool))
ABSOLUTE_PATH: Final = Kind("an absolute path", _is_path)
ABSOLUTE_PATHS: Final = Kind("a list of absolute paths", _are_paths)
PLATFORM: Final = Kind('"xen" or "embedded:DIR"', _is_platform)
TARGET_PATH: Final = Kind(f"an absolute path with {TARGET} in it", _is_path_of_a_target)
CHANNELS: Final = Kind(
    f'a list of "NAME" or "NAME=SOCKET", where SOCKET is an absolute path with {TARGET} in it',
    _are_channels,
)
