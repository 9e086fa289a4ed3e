"""The program's version, from the package's metadata."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The version that is installed; ``unknown`` in a tree that is not."""
    try:
        return metadata.version("xen-fileproxy")
    except metadata.PackageNotFoundError:
        return "unknown"
