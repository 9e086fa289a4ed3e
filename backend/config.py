"""The configuration: every key once, with its type, range, default and meaning.

The dataclasses below are the only list of keys.  The loader, the messages about mistakes and
``docs/configuration.md`` (``xen-fileproxy check-config --reference``) are derived from them.
A key ``max-rings`` is the field ``max_rings``; a TOML table ``[limits]`` is a nested dataclass.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from backend.confinement.walls import WALLS
from backend.fileserver.limits import MAX_FIDS, MAX_OPEN_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from dataclasses import Field

DEFAULT_PATH: Final = "/etc/xen/xen-fileproxy.toml"
LOG_LEVELS: Final = ("error", "warning", "info", "debug")


class ConfigError(Exception):
    """The configuration cannot be used; the text names file, key, value and what is accepted."""


@dataclass(frozen=True)
class Kind:
    """What a key's value must be: in words for messages and documentation, and as a check."""

    words: str
    accepts: Callable[[object], bool]


def _number(low: int, high: int) -> Kind:
    def accepts(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Kind(f"a whole number from {low} to {high}", accepts)


def _seconds(low: float, high: float) -> Kind:
    def accepts(value: object) -> bool:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        )

    return Kind(f"seconds, from {low:g} to {high:g}", accepts)


def _absolute_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _absolute_paths(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_absolute_path, value))


def _platform_name(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return value == "xen" or (value.startswith("embedded:") and value != "embedded:")


def _one_of(*words: str) -> Kind:
    return Kind("one of " + ", ".join(f'"{word}"' for word in words), lambda value: value in words)


def _key(default: object, kind: Kind, doc: str) -> Any:  # noqa: ANN401 -- as dataclasses.field
    return field(default=default, metadata={"kind": kind, "doc": doc})


@dataclass(frozen=True)
class Limits:
    """Bounds on what one device may use; each is per device."""

    max_fids: int = _key(
        MAX_FIDS,
        _number(16, 1_000_000),
        "Fids a guest may hold. A Linux guest holds one for every cached file and directory.",
    )
    max_open_files: int = _key(
        MAX_OPEN_FILES,
        _number(1, 1_000_000),
        "Files a guest may have open. `max-open-files` in a device's nodes lowers it further.",
    )
    max_msize: int = _key(
        1 << 20,
        _number(4096, 1 << 20),
        "Largest message in bytes. Half of a ring is the other bound; Linux asks for 512 KiB at "
        "most.",
    )
    max_rings: int = _key(
        4, _number(1, 9), "Rings offered to a frontend. Linux wants at least 2, Mini-OS uses 1."
    )
    max_ring_page_order: int = _key(
        9,
        _number(1, 9),
        "Largest ring offered: 2 to this power pages of 4 KiB, half of them for each direction.",
    )


@dataclass(frozen=True)
class Timeouts:
    """How long the supervisor waits before it goes on without an answer."""

    start: float = _key(
        10.0,
        _seconds(0.1, 600),
        "A new worker must serve its device within this time, or the device is closed.",
    )
    stop: float = _key(
        3.0, _seconds(0.1, 600), "A worker that was told to stop is killed after this time."
    )
    close: float = _key(
        5.0,
        _seconds(0.1, 600),
        "A frontend must follow to Closed within this time, or the device is closed without it. "
        "xl waits 10 seconds when it unplugs a device: stay below that.",
    )


@dataclass(frozen=True)
class Confinement:
    """The sandbox around each process that serves a guest."""

    sandbox: bool = _key(
        True,
        Kind("true or false", lambda value: isinstance(value, bool)),
        "Whether such a process gives up what it does not need. Without it, a guest that breaks "
        "into its worker is root in Dom0: for debugging only, as `--no-sandbox`.",
    )
    require: tuple[str, ...] = _key(
        (),
        Kind(
            "a list of walls: " + ", ".join(f'"{wall}"' for wall in WALLS),
            lambda value: isinstance(value, list | tuple) and set(value) <= set(WALLS),
        ),
        "Walls that must hold, or the device is closed. A wall that is not listed and that the "
        "kernel does not have is left out with a warning. docs/confinement.md explains each.",
    )

    @property
    def walls(self) -> tuple[str, ...]:
        """What is to be put up."""
        return WALLS if self.sandbox else ()

    @property
    def required_walls(self) -> tuple[str, ...]:
        """What must hold."""
        return self.require if self.sandbox else ()


@dataclass(frozen=True)
class Config:
    """The whole configuration, with the defaults filled in."""

    platform: str = _key(
        "xen",
        Kind('"xen" or "embedded:DIR"', _platform_name),
        "Where guests live: real Xen, or the development hypervisor that runs in DIR.",
    )
    run_dir: str = _key(
        "/run/xen-fileproxy",
        Kind("an absolute path", _absolute_path),
        "Directory of the running supervisor: its lock, its status socket, and what quotas count. "
        "Without this key, users other than root have it at `$XDG_RUNTIME_DIR/xen-fileproxy`, or "
        "`/tmp/xen-fileproxy-UID` where that variable is not set.",
    )
    log_level: str = _key(
        "info",
        _one_of(*LOG_LEVELS),
        "Least severity that is logged to standard error. `-v` means debug.",
    )
    allowed_exports: tuple[str, ...] = _key(
        (),
        Kind("a list of absolute paths", _absolute_paths),
        "Directories that a device's `path` must be, or lie under, after symbolic links are "
        "followed. With an empty list any directory may be exported.",
    )
    limits: Limits = field(default_factory=Limits, metadata={"doc": Limits.__doc__})
    timeouts: Timeouts = field(default_factory=Timeouts, metadata={"doc": Timeouts.__doc__})

    confinement: Confinement = field(
        default_factory=Confinement, metadata={"doc": Confinement.__doc__}
    )

    @property
    def status_socket(self) -> str:
        """Where ``xen-fileproxy status`` asks."""
        return os.path.join(self.run_dir, "status.sock")

    @property
    def quota_dir(self) -> str:
        """Where workers of one directory, the supervisor's and ``serve``'s, keep its counts."""
        return os.path.join(self.run_dir, "quota")

    @property
    def workers_dir(self) -> str:
        """Where the next supervisor finds the workers of this one."""
        return os.path.join(self.run_dir, "workers")


def load(path: str | None) -> Config:
    """The configuration in the file ``path``; without one, the default file's if it is there.

    Raises ``ConfigError``.
    """
    explicit = path is not None
    path = path or DEFAULT_PATH
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        if not explicit:
            return Config()
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        return from_mapping(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_mapping(document: Mapping[str, object]) -> Config:
    """The configuration that a parsed TOML document describes.  Raises ``ConfigError``."""
    return cast("Config", _build(Config, document, ""))


def check_value(dotted_key: str, value: object) -> None:
    """Check a value from elsewhere (a command-line option) by a key's rule.

    Raises ``ConfigError``; ``KeyError`` when there is no such key.
    """
    for key, _default, entry in entries():
        if key == dotted_key:
            _check(key, value, entry.metadata["kind"])
            return
    raise KeyError(dotted_key)


def entries() -> Iterator[tuple[str, object, Field[Any]]]:
    """Every key: its dotted name, its default, and its field (``kind`` and ``doc`` in metadata)."""
    default = Config()
    for item in fields(Config):
        if "kind" in item.metadata:
            yield _key_name(item.name), getattr(default, item.name), item
        else:
            table = getattr(default, item.name)
            for inner in fields(table):
                name = f"{_key_name(item.name)}.{_key_name(inner.name)}"
                yield name, getattr(table, inner.name), inner


def _key_name(field_name: str) -> str:
    return field_name.replace("_", "-")


def _build(table: type, document: Mapping[str, object], prefix: str) -> object:
    known = {_key_name(item.name): item for item in fields(table)}
    default = table()
    values: dict[str, object] = {}
    for key, value in document.items():
        item = known.get(key)
        if item is None:
            raise ConfigError(_unknown(prefix + key, [prefix + name for name in known]))
        current = getattr(default, item.name)
        if is_dataclass(current):
            if not isinstance(value, dict):
                raise ConfigError(f"{key} is {_shown(value)}; it must be a table: [{key}]")
            values[item.name] = _build(type(current), value, f"{prefix}{key}.")
        else:
            _check(prefix + key, value, item.metadata["kind"])
            values[item.name] = _like(current, value)
    return cast("object", table(**values))


def _check(key: str, value: object, kind: Kind) -> None:
    if not kind.accepts(value):
        raise ConfigError(f"{key} is {_shown(value)}; it must be {kind.words}")


def _like(default: object, value: object) -> object:
    """A checked value in its field's type: TOML has lists for tuples and may have 5 for 5.0."""
    if isinstance(default, tuple):
        return tuple(cast("list[str]", value))
    if isinstance(default, float):
        return float(cast("float", value))
    return value


def _unknown(key: str, known: list[str]) -> str:
    everywhere = [name for name, _default, _field in entries()]
    near = difflib.get_close_matches(key, known, 1) or difflib.get_close_matches(
        key, everywhere, 1, cutoff=0.5
    )
    # A key that exists in another table is the likelier slip than a misspelling.
    moved = [name for name in everywhere if name.rpartition(".")[2] == key.rpartition(".")[2]]
    hints = moved + near
    if not hints:
        return f"unknown key '{key}'; known here: {', '.join(sorted(known))}"
    return f"unknown key '{key}': did you mean '{hints[0]}'?"


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
