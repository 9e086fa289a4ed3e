"""HVM guests whose QEMU runs in the reference stub domain, made, saved and restored by ``xl``."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.platform import open_platform
from backend.stubdom.target import stub_domain_of
from protocol.xenpv.ids import Domid
from tests.lab.guests import LAB, domains, xl
from tests.lab.service import command

if TYPE_CHECKING:
    from typing import Self

CONSOLES: Final = Path("/var/log/xen/console")

_CONFIGURATION: Final = """\
name = "{name}"
type = "hvm"
memory = 96
vcpus = 1
device_model_version = "qemu-xen"
device_model_stubdomain_override = 1
stubdomain_kernel = "{lab}/vmlinuz"
stubdomain_ramdisk = "{lab}/stubdom.cpio"
stubdomain_cmdline = "console=hvc0 rdinit=/init panic=1 quiet"
stubdomain_memory = 640
vnc = 0
nographic = 1
on_crash = "destroy"
"""
"""The BIOS is guest enough: it looks for a disk and, as there is none, waits and looks again."""


class StubbedGuest:
    """A guest and its stub domain; a context manager that destroys both, if they are there."""

    _names: Final = count(1)

    def __init__(self) -> None:
        """Create them, as ``xl create`` does: it waits until QEMU runs."""
        self.name: Final = f"stubbed{next(self._names)}"
        configuration = Path(f"/run/{self.name}.cfg")
        configuration.write_text(_CONFIGURATION.format(name=self.name, lab=LAB))
        self._made("create", "-q", str(configuration))

    def save(self, image: Path, *, going_on: bool = False) -> None:
        """``xl save``, after which both are gone; or are not, ``going_on``."""
        xl("save", *(("-c",) if going_on else ()), self.name, str(image))

    def restore(self, image: Path) -> None:
        """``xl restore``: other domains, of other numbers, go on where these were."""
        self._made("restore", "-q", str(image))

    def _made(self, *arguments: str) -> None:
        try:
            xl(*arguments)
            self.domid = Domid(int(xl("domid", self.name)))
            with closing(open_platform("xen").store()) as store:
                stub_domain = stub_domain_of(store, self.domid)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console()}") from error
        assert stub_domain is not None, xl("list")
        self.stub_domain = stub_domain

    def qmp(self, *request: str) -> Any:
        """Ask QEMU, from Dom0, over the channel."""
        return json.loads(command("qmp", "--timeout", "120", str(self.domid), *request))

    @property
    def status(self) -> str:
        """What QEMU says of its guest."""
        return str(self.qmp("query-status")["status"])

    @property
    def restored_from(self) -> str:
        """SHA-256 of the state as the stub domain found it, which it says before it starts QEMU."""
        said = [line for line in self.console().splitlines() if "stubdom: restoring " in line]
        return said[-1].partition("restoring ")[2].split()[0]

    def console(self) -> str:
        """What all stub domains of that name have printed."""
        log = CONSOLES / f"guest-{self.name}-dm.log"
        return log.read_text(errors="replace") if log.exists() else "no console"

    def destroy(self) -> None:
        """``xl destroy``, which takes the stub domain along; harmless if they are gone."""
        if self.name in xl("list").split():
            xl("destroy", self.name)

    @property
    def alive(self) -> bool:
        """Whether Xen still has either."""
        return bool({self.domid, self.stub_domain} & set(domains()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.destroy()
