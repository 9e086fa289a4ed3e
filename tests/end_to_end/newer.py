"""The program in another version: a copy of its code, as a package would bring it."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("backend", "protocol")


def newer(place: Path, version: str, *changes: tuple[str, str, str]) -> Path:
    """A directory that Python finds the program in, which says that it has this ``version``.

    Each change is of a file: what stands there once, and what is to stand there.
    """
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    metadata = place / f"xen_fileproxy-{version}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: xen-fileproxy\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text, encoding="ascii")
    for name, old, new in changes:
        code = (place / name).read_text(encoding="utf-8")
        assert code.count(old) == 1, name
        (place / name).write_text(code.replace(old, new), encoding="utf-8")
    return place
