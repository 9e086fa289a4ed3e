"""A command's own connection to the platform's XenStore."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from backend.commands.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store


@contextlib.contextmanager
def open_store(platform_name: str) -> Iterator[tuple[Store, Domid]]:
    """XenStore as our own domain sees it, and that domain.  Raises ``CommandError``."""
    from backend.platform import open_platform

    with contextlib.ExitStack() as stack:
        try:
            platform = open_platform(platform_name)
            stack.callback(platform.close)
            store = platform.store()
            stack.callback(store.close)
        except OSError as error:
            raise CommandError(f"platform {platform_name}: {error.strerror or error}") from error
        yield store, platform.own_domid
