"""The supervisor's fixtures serve the commands that talk to it, too."""

from __future__ import annotations

from tests.backend.hook.conftest import store
from tests.backend.supervisor.conftest import export, hypervisor, place, platform, supervisor

__all__ = ["export", "hypervisor", "place", "platform", "store", "supervisor"]
