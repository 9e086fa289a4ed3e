"""What takes long to make is kept: ``$XDG_CACHE_HOME/xen-fileproxy/linux-guest``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Cache:
    """Folders by name, each made whole or not at all."""

    def __init__(self, root: Path | None = None) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self.root: Final = root or Path(home) / "xen-fileproxy" / "linux-guest"

    def folder(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder ``name``; where there is none yet, ``make`` fills an empty one."""
        kept = self.root / name
        if not kept.is_dir():
            fresh = self.root / f"{name}.{os.getpid()}"
            fresh.mkdir(parents=True)
            try:
                make(fresh)
                self._keep(fresh, kept)
            except BaseException:
                shutil.rmtree(fresh)
                raise
        return kept

    @staticmethod
    def _keep(fresh: Path, kept: Path) -> None:
        try:
            fresh.rename(kept)
        except OSError:
            # Another run made the same meanwhile.
            if not kept.is_dir():
                raise
            shutil.rmtree(fresh)
