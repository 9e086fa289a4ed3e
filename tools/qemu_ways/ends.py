"""What a guest's end of a share offers to QEMU: the same at the kernel's mount and at our frontend.

A command for ``exec:``, a descriptor for ``fd:`` and fdsets, a path that QEMU opens itself, and
somebody who talks to QEMU's socket.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NoReturn, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tools.qemu_ways.qemu import Stream


class Gone(Exception):  # noqa: N818 -- what happens to the guest is no fault of anybody's
    """The guest has ended."""


class Bridge(Protocol):
    """What joins a channel to a chardev."""

    def terminal(self) -> str:
        """The path of the terminal that ``pty`` has made."""

    def finish(self) -> None:
        """Wait until the last client has left.  Raises ``WayError`` where that is a failure."""


class End(Protocol):
    """What a way of QEMU's can use; ``name`` is a file of the share throughout."""

    def writer(self, name: str) -> str:
        """A shell's command that stores its input."""

    def reader(self, name: str) -> str:
        """A shell's command that prints the file."""

    def remove(self, name: str) -> None:
        """Remove the file.  Raises ``OSError``, ``WayError``."""

    def to_write(self, name: str, *, truncate: bool = True) -> AbstractContextManager[int]:
        """A descriptor; what was written is stored when the block has ended.

        Of a file that is there, it writes over the old content or, without ``truncate``, into it.
        """

    def to_read(self, name: str) -> AbstractContextManager[int]:
        """A descriptor."""

    def path_to_write(self, name: str) -> AbstractContextManager[str]:
        """A path; what was written there is stored when the block has ended."""

    def path_to_read(self, name: str) -> AbstractContextManager[str]:
        """A path."""

    def receiving(self, name: str, address: str) -> AbstractContextManager[None]:
        """Somebody stores what QEMU sends to the address, until the block has ended.

        It may be some time until he listens there.
        """

    def sending(self, name: str, address: str) -> AbstractContextManager[None]:
        """Somebody sends QEMU the file, as soon as it listens at the address."""

    def bridge(
        self,
        channel: str,
        address: str,
        *,
        listen: bool = False,
        clients: int = 1,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
    ) -> AbstractContextManager[Bridge]:
        """A channel joined to an address of the frontend's ``bridge``, for so many clients."""

    def await_dom0(self, channel: str) -> None:
        """Wait for a client of the channel, and until it has left."""

    def end_guest(self, channel: str) -> NoReturn:
        """The guest ends at once, with all that runs in it.  Raises ``Gone`` where it is none."""
