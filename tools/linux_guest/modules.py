"""Which kernel modules the guest loads, and in which order.

The order comes from the modules themselves (``depends=`` in their ``.modinfo``), because a package
that was only unpacked has no ``modules.dep``.
"""

from __future__ import annotations

import lzma
import re
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WANTED: Final = ("virtio_pci", "virtio_console", "virtio_net", "9p", "9pnet_fd", "9pnet_virtio")

_DEPENDS: Final = re.compile(rb"\0depends=([^\0]*)\0")


def load_order(folder: Path, wanted: Iterable[str] = WANTED) -> list[tuple[str, bytes]]:
    """The wanted modules below ``folder`` and what they need, first what is loaded first.

    Each is its name and its content, uncompressed.  Raises ``GuestError``.
    """
    paths = {_name(path.name): path for path in folder.rglob("*.ko*")}
    builtin = {_name(line) for line in (folder / "modules.builtin").read_text().splitlines()}
    ordered: dict[str, bytes] = {}
    for name in wanted:
        if name not in builtin:
            _add(name, paths, ordered)
    return list(ordered.items())


def _name(path: str) -> str:
    """A module's name, from its file's."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def _add(name: str, paths: dict[str, Path], ordered: dict[str, bytes]) -> None:
    if name in ordered:
        return
    path = paths.get(name)
    if path is None:
        raise GuestError(f"the kernel has no module {name}")
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    elif path.suffix != ".ko":
        raise GuestError(f"{path}: compressed in a way that is not known here")
    found = _DEPENDS.search(content)
    for needed in (found[1].decode() if found else "").split(","):
        if needed:
            _add(needed.replace("-", "_"), paths, ordered)
    ordered[name] = content
