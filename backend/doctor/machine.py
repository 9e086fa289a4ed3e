"""The machine that is looked at."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Config
from backend.platform import open_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store


@dataclass(frozen=True)
class Machine:
    """Where its files are, and how the program is configured to serve there."""

    config: Config = field(default_factory=Config)
    """As it is used; the defaults where the file cannot be."""
    config_file: str = ""
    config_error: str = ""
    """Why the file cannot be used."""
    root: Path = Path("/")
    """What its files lie under."""

    def path(self, name: str) -> Path:
        """A file by its absolute name."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """A small file's text, stripped, or ``None`` where there is no such file."""
        try:
            return self.path(name).read_text(errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    @property
    def wants_xen(self) -> bool:
        """Whether real Xen is what guests are to be served on."""
        return self.config.platform == "xen"

    @property
    def under_xen(self) -> bool:
        """Whether the kernel says that it runs on Xen."""
        return self.text("/sys/hypervisor/type") == "xen"

    @contextlib.contextmanager
    def store(self) -> Iterator[tuple[Store, Domid]]:
        """XenStore, and the domain that we are in it.  Raises ``OSError``."""
        with contextlib.ExitStack() as stack:
            platform = open_platform(self.config.platform)
            stack.callback(platform.close)
            store = platform.store()
            stack.callback(store.close)
            yield store, platform.own_domid
