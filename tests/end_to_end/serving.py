"""A running ``xen-fileproxy serve``."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tools.testbed import BIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(export: Path, address: str) -> Iterator[str]:
    """Serve ``export`` at ``address``; what the server says about it when it is ready."""
    process = subprocess.Popen(
        [str(BIN / "xen-fileproxy"), "serve", "--path", str(export), "--listen", address],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        ready = process.stderr.readline()
        assert "serving" in ready
        yield ready
        process.terminate()
        assert process.wait(30) == 0
