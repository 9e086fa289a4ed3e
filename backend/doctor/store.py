"""XenStore: reached, and open to what we write there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend.doctor.finding import ok, problem, warning
from protocol.xenpv.ids import DOM0

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine
    from protocol.xenpv.ports import Store, StoreView

_PROBE: Final = "backend/xen_9pfs-doctor"
"""Beside the devices, relative to our own domain; written in a transaction that is taken back."""


class _TakeBackError(Exception):
    """Ends a transaction that is not to have happened."""


def _store(machine: Machine) -> Iterator[Finding]:
    try:
        with machine.store() as (store, own):
            if own == DOM0:
                yield ok("it answers, and knows us as domain 0")
            else:
                yield warning(
                    f"it knows us as domain {own}",
                    "serve from Dom0, unless the toolstack is told that this domain is a backend",
                )
            yield _writable(store)
    except OSError as error:
        what, _, remedy = str(error.strerror or error).partition("; ")
        yield problem(f"platform {machine.config.platform}: {what}", remedy or _start(machine))


def _start(machine: Machine) -> str:
    """How what should answer is started."""
    if machine.wants_xen:
        return "start it: systemctl start xenstored, or Xen's init script; and run this as root"
    directory = machine.config.platform.partition(":")[2]
    return f"start it: xen-fileproxy embedded run --dir {directory}"


def _writable(store: Store) -> Finding:
    def body(view: StoreView) -> None:
        view.write(_PROBE, b"")
        raise _TakeBackError

    try:
        store.transact(body)
    except PermissionError:
        return problem(
            "it lets us write no nodes of devices",
            "serve from Dom0, or have the toolstack make backend/ this domain's",
        )
    except _TakeBackError:
        pass
    return ok("it lets us write nodes of devices")


CHECKS: Final[Area] = {"connection": _store}
