"""A Debian package as a file: what it says of itself and what it brings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parent.parent.parent.parent


class Package:
    """One ``.deb``."""

    def __init__(self, file: Path) -> None:
        self.file: Final = file

    def field(self, name: str) -> str:
        """A field of its control file."""
        return self._ask("--field", str(self.file), name).strip()

    def files(self) -> dict[str, str]:
        """Mode by path (without the leading slash) of all that is no directory."""
        found = {}
        for line in self._ask("--contents", str(self.file)).splitlines():
            mode, owner, _size, _date, _time, path = line.split(maxsplit=5)
            assert owner == "root/root"
            if not mode.startswith("d"):
                found[path.split(" -> ")[0].removeprefix("./")] = mode
        return found

    def unpack(self, target: Path) -> Path:
        """Its files, below ``target``."""
        self._ask("--extract", str(self.file), str(target))
        return target

    @staticmethod
    def _ask(*arguments: str) -> str:
        return subprocess.run(
            ["dpkg-deb", *arguments], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
