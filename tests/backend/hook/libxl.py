"""What libxl of Xen 4.20 writes for a p9 device of ``type=xen_9pfsd``, and how it removes one.

Source: ``libxl__set_xenstore_p9`` (``libxl_9pfs.c``), ``libxl__device_add_async``,
``libxl__device_generic_add``, ``libxl__initiate_device_generic_remove`` (``libxl_device.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend import toolstack

if TYPE_CHECKING:
    from protocol.xenpv.ports import Store, StoreView

DEFAULTS = {
    "security_model": "none",
    "max-space": "0",
    "max-files": "0",
    "max-open-files": "0",
    "auto-delete": "0",
}


def add(store: Store, domid: int, devid: int, path: str, **options: str) -> toolstack.Ends:
    """Write both ends; ``options`` are the backend's nodes that differ (``_`` for ``-``)."""
    frontend = f"/local/domain/{domid}/device/9pfs/{devid}"
    backend = f"/local/domain/0/backend/xen_9pfs/{domid}/{devid}"
    nodes = DEFAULTS | {name.replace("_", "-"): value for name, value in options.items()}
    if "security-model" in nodes:
        nodes["security_model"] = nodes.pop("security-model")

    def body(view: StoreView) -> None:
        view.mkdir(frontend)
        view.set_permissions(frontend, [f"n{domid}", "r0"])
        view.write(f"{frontend}/backend", backend.encode())
        for name, value in {"backend-id": "0", "state": "1", "tag": "Xen"}.items():
            view.write(f"{frontend}/{name}", value.encode())
            view.set_permissions(f"{frontend}/{name}", [f"n{domid}", "r0"])
        view.mkdir(backend)
        view.set_permissions(backend, ["n0", f"r{domid}"])
        view.write(f"{backend}/frontend", frontend.encode())
        ours = {"frontend-id": str(domid), "online": "1", "state": "1", "path": path}
        for name, value in (ours | nodes).items():
            view.write(f"{backend}/{name}", value.encode())

    store.transact(body)
    return toolstack.Ends(frontend, backend)


def ask_to_close(store: Store, device: toolstack.Ends, *, destroy: bool) -> None:
    """The first half of a removal; with ``destroy`` the guest's end goes with it."""

    def body(view: StoreView) -> None:
        if destroy:
            view.rm(device.frontend)
        view.write(f"{device.backend}/online", b"0")
        if view.read(f"{device.backend}/state") != b"6":
            view.write(f"{device.backend}/state", b"5")

    store.transact(body)
