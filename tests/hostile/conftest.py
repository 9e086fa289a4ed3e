"""A hostile guest and its well-behaved neighbour on one Dom0."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.ids import Tag
from protocol.ninep.messages import Rgetattr, Tgetattr
from tools.testbed import Testbed, TestbedError

from .raw_frontend import ROOT, RawFrontend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE, NEIGHBOUR, NOBODY = 5, 6, 7


class Neighbourhood:
    """The hostile domain has a device; the neighbour's is mounted and stays so."""

    def __init__(self, bed: Testbed, export: Path, stack: ExitStack) -> None:
        self.bed = bed
        self.export = export
        bed.guest(HOSTILE, export)
        bed.guest(NEIGHBOUR, export)
        self.neighbour = stack.enter_context(
            # More rings than the other has, and so references that the other has not.
            RawFrontend(bed.hypervisor.platform(NEIGHBOUR), NEIGHBOUR, rings=3)
        ).mount()

    @contextmanager
    def guest(self) -> Iterator[RawFrontend]:
        """The hostile domain's frontend."""
        with RawFrontend(self.bed.hypervisor.platform(HOSTILE), HOSTILE) as guest:
            yield guest

    def neighbour_is_served(self) -> bool:
        """Both rings of the neighbour answer."""
        request = Tgetattr(Tag(9), ROOT, 0x17FF)
        return all(isinstance(self.neighbour.call(request, ring), Rgetattr) for ring in (0, 1))

    def attach_fails(self, path: str) -> str:
        """What ``attach`` says of an export that cannot be shown."""
        with pytest.raises(TestbedError) as error:
            self.bed.guest(NOBODY, path)
        return str(error.value)


@pytest.fixture
def hood(leak_free: None, tmp_path: Path) -> Iterator[Neighbourhood]:
    """Set up; afterwards every device's worker and mapping must be gone."""
    export = tmp_path / "export"
    export.mkdir()
    with Testbed() as bed, ExitStack() as stack:
        yield Neighbourhood(bed, export, stack)
    # A guest may have made trees that are too deep for pytest's own cleaning, which recurses.
    subprocess.run(["rm", "-rf", str(export)], check=True)
