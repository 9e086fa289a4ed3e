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

from backend.config_kinds import (
    ABSOLUTE_PATH,
    ABSOLUTE_PATHS,
    BOOLEAN,
    CHANNELS,
    PLATFORM,
    TARGET_PATH,
    number,
    one_of,
    seconds,
    setting,
    some_of,
)
from backend.confinement.walls import WALLS
from backend.fileserver.limits import MAX_FIDS, MAX_OPEN_FILES
from backend.share import ShareError
from backend.stubdom.state_share import state_share
from protocol.xenpv.ids import DOMID_FIRST_RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from dataclasses import Field

    from backend.config_kinds import Kind

DEFAULT_PATH: Final = "/etc/xen/xen-fileproxy.toml"
LOG_LEVELS: Final = ("error", "warning", "info", "debug")


class ConfigError(Exception):
    """The configuration cannot be used; the text names file, key, value and what is accepted."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what one device may use; each is per device."""

    max_fids: int = setting(
        MAX_FIDS,
        number(16, 1_000_000),
        "Fids a guest may hold. A Linux guest holds one for every cached file and directory.",
    )
    max_open_files: int = setting(
        MAX_OPEN_FILES,
        number(1, 1_000_000),
        "Files a guest may have open. `max-open-files` in a device's nodes lowers it further.",
    )
    max_msize: int = setting(
        1 << 20,
        number(4096, 1 << 20),
        "Largest message in bytes. Half of a ring is the other bound; Linux asks for 512 KiB at "
        "most.",
    )
    max_rings: int = setting(
        4, number(1, 9), "Rings offered to a frontend. Linux wants at least 2, Mini-OS uses 1."
    )
    max_ring_page_order: int = setting(
        9,
        number(1, 9),
        "Largest ring offered: 2 to this power pages of 4 KiB, half of them for each direction.",
    )


@dataclass(frozen=True)
class Timeouts:
    """How long the supervisor waits before it goes on without an answer."""

    start: float = setting(
        10.0,
        seconds(0.1, 600),
        "A new worker must serve its device within this time, or the device is closed.",
    )
    stop: float = setting(
        3.0, seconds(0.1, 600), "A worker that was told to stop is killed after this time."
    )
    close: float = setting(
        5.0,
        seconds(0.1, 600),
        "A frontend must follow to Closed within this time, or the device is closed without it. "
        "xl waits 10 seconds when it unplugs a device: stay below that.",
    )


@dataclass(frozen=True)
class Confinement:
    """The sandbox around each process that serves a guest."""

    sandbox: bool = setting(
        True,
        BOOLEAN,
        "Whether such a process gives up what it does not need. Without it, a guest that breaks "
        "into its worker is root in Dom0: for debugging only, as `--no-sandbox`.",
    )
    require: tuple[str, ...] = setting(
        (),
        some_of("walls", WALLS),
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
class Stubdom:
    """What a stub domain is given for its QEMU: the share `state` with the files `save` and
    `restore`, and the channel `qmp`. docs/channels.md has more.
    """

    auto: bool = setting(
        False,
        BOOLEAN,
        "Whether the supervisor attaches this share to each stub domain as it appears. "
        "`xen-fileproxy attach DOMAIN --state` does so by hand.",
    )
    save: str = setting(
        "/var/lib/xen/qemu-save.{target}",
        TARGET_PATH,
        "Where QEMU saves a state, the share's `save`. {target} is the number of the domain that "
        "the stub domain works for. libxl reads the default.",
    )
    restore: str = setting(
        "/var/lib/xen/qemu-resume.{target}",
        TARGET_PATH,
        "Where QEMU finds the state to begin with, the share's `restore`. libxl writes the "
        "default.",
    )
    channels: tuple[str, ...] = setting(
        (),
        CHANNELS,
        "Channels besides `qmp`: consoles, or any byte stream. Without SOCKET a channel's socket "
        "is `<run-dir>/{target}/NAME`.",
    )
    channels_to_guest: tuple[str, ...] = setting(
        (), CHANNELS, "As `channels`, but the stub domain only reads."
    )
    channels_from_guest: tuple[str, ...] = setting(
        (), CHANNELS, "As `channels`, but the stub domain only writes."
    )


@dataclass(frozen=True)
class Config:
    """The whole configuration, with the defaults filled in."""

    platform: str = setting(
        "xen",
        PLATFORM,
        "Where guests live: real Xen, or the development hypervisor that runs in DIR.",
    )
    run_dir: str = setting(
        "/run/xen-fileproxy",
        ABSOLUTE_PATH,
        "Directory of the running supervisor: its lock, its status socket, and what quotas count. "
        "Without this key, users other than root have it at `$XDG_RUNTIME_DIR/xen-fileproxy`, or "
        "`/tmp/xen-fileproxy-UID` where that variable is not set.",
    )
    log_level: str = setting(
        "info",
        one_of(*LOG_LEVELS),
        "Least severity that is logged to standard error. `-v` means debug.",
    )
    allowed_exports: tuple[str, ...] = setting(
        (),
        ABSOLUTE_PATHS,
        "Directories that a device's `path` must be, or lie under, after symbolic links are "
        "followed. With an empty list any directory may be exported.",
    )
    recovery: bool = setting(
        False,
        BOOLEAN,
        "Whether a worker that dies is replaced by another that goes on where it was, so that its "
        "guest sees a pause and no error (docs/recovery.md says for which shares). Without it the "
        "device is closed.",
    )
    limits: Limits = field(default_factory=Limits, metadata={"doc": Limits.__doc__})
    timeouts: Timeouts = field(default_factory=Timeouts, metadata={"doc": Timeouts.__doc__})
    confinement: Confinement = field(
        default_factory=Confinement, metadata={"doc": Confinement.__doc__}
    )
    stubdom: Stubdom = field(default_factory=Stubdom, metadata={"doc": Stubdom.__doc__})

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
    config = cast("Config", _build(Config, document, ""))
    if config.stubdom.auto:
        try:
            state_share(config.stubdom, config.run_dir, DOMID_FIRST_RESERVED - 1)
        except ShareError as error:
            raise ConfigError(f"[stubdom]: {error}") from error
    return config


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
