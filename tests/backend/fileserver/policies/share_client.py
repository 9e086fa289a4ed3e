"""A client of a share, inside all the policies that the share asks for."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from backend.fileserver.limits import Limits
from backend.fileserver.session import Session
from backend.worker.sessions import open_tree
from tests.backend.fileserver.client import Client

if TYPE_CHECKING:
    from backend.share import Share


class ShareClient(Client):
    """``Client`` of what a worker would serve."""

    def __init__(self, share: Share) -> None:
        self.limits = Limits()
        self.session = Session(open_tree(share, (), ""), self.limits, 1 << 20)
        self._fids = itertools.count(1)
        self.mount()

    def close(self) -> None:
        self.session.close()
        assert [slots.used for slots in self.slots()] == [0] * len(self.slots())
