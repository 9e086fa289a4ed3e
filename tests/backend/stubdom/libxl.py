"""What libxl writes when it has made a stub domain, which is paused then.

Source: ``libxl__spawn_stub_dm`` (``libxl_dm.c``): no permissions are set, so that both nodes have
those of the homes they are in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.xenpv.ports import Store


def say_stub_domain(store: Store, target: int, domid: int) -> None:
    """``domid`` is the stub domain of ``target``; both are there."""
    store.write(f"/local/domain/{target}/image/device-model-domid", b"%d" % domid)
    store.write(f"/local/domain/{domid}/target", b"%d" % target)
