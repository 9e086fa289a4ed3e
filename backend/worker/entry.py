"""Where a forked worker begins: a module so small that the supervisor can import it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from backend.worker.settings import WorkerSettings


def enter(
    settings: WorkerSettings, control: socket.socket, predecessor: socket.socket | None
) -> None:
    """Serve one device; the fork server has imported what is needed already."""
    from backend.worker.start import main

    main(settings, control, predecessor=predecessor)
