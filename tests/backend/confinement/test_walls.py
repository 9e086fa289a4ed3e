"""Each wall from inside: hostile Python in a process that is confined as a worker is.

``PROOFS`` names, for each attack, the walls that stop it by themselves.  From that follow the
tests: without walls the attack gets through (so the test can fail); with all of them it does not;
with one of the named walls alone it does not; and with all but one of them neither, where another
stands behind it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.confinement.walls import (
    CAPABILITIES,
    HOLDS,
    LANDLOCK,
    LIMITS,
    NAMESPACES,
    PRIVILEGES,
    SECCOMP,
    WALLS,
)
from tests.backend.confinement.conftest import need

if TYPE_CHECKING:
    from tests.backend.confinement.conftest import Prison

PROOFS: dict[str, tuple[str, ...]] = {
    "read_by_path": (NAMESPACES, LANDLOCK),
    "read_by_climbing": (NAMESPACES, LANDLOCK),
    "read_by_root_of_init": (NAMESPACES, LANDLOCK),
    "read_by_own_root": (NAMESPACES, LANDLOCK),
    "read_by_link": (NAMESPACES, LANDLOCK),
    "read_by_any_directory": (NAMESPACES, LANDLOCK),
    "read_by_handle": (CAPABILITIES, LANDLOCK, SECCOMP),
    "read_a_neighbour": (NAMESPACES, LANDLOCK),
    "write_a_neighbour": (NAMESPACES, LANDLOCK),
    "chmod_a_neighbour": (NAMESPACES,),
    "make_a_device": (CAPABILITIES, LANDLOCK, SECCOMP),
    "mount": (CAPABILITIES, LANDLOCK, SECCOMP),
    "unshare_a_user_namespace": (SECCOMP,),
    "reach_tcp": (NAMESPACES, LANDLOCK, SECCOMP),
    "reach_unix": (NAMESPACES, SECCOMP),
    "reach_abstract": (NAMESPACES, LANDLOCK, SECCOMP),
    "reach_netlink": (SECCOMP,),
    "fork": (SECCOMP,),
    "vfork": (NAMESPACES, LANDLOCK, SECCOMP),
    "execute": (NAMESPACES, LANDLOCK, SECCOMP),
    "signal_the_parent": (LANDLOCK, SECCOMP),
    "signal_the_parent_by_pidfd": (LANDLOCK, SECCOMP),
    "trace_the_parent": (CAPABILITIES, LANDLOCK, SECCOMP),
    "become_another_user": (CAPABILITIES, SECCOMP),
    "regain_capabilities": (CAPABILITIES, SECCOMP),
    "execute_with_roots_power": (NAMESPACES, CAPABILITIES, LANDLOCK, SECCOMP),
    "execute_a_setuid_program": (NAMESPACES, CAPABILITIES, PRIVILEGES, LANDLOCK, SECCOMP),
    "make_memory_executable": (SECCOMP,),
    "dump": (PRIVILEGES,),
    "grow": (LIMITS,),
    "bpf": (SECCOMP,),
    "keyctl": (SECCOMP,),
    "userfaultfd": (SECCOMP,),
    "io_uring": (SECCOMP,),
    "load_a_module": (CAPABILITIES, SECCOMP),
    "perf": (SECCOMP,),
    "clone_mounts": (CAPABILITIES, SECCOMP),
}

ROOTS = {
    "read_by_handle",
    "make_a_device",
    "mount",
    "become_another_user",
    "regain_capabilities",
    "execute_with_roots_power",
    "execute_a_setuid_program",
    "load_a_module",
    "clone_mounts",
}
"""Attacks that get nowhere without being root, walls or not."""

ALONE = [(attack, wall) for attack, walls in PROOFS.items() for wall in walls]
BEHIND = [(attack, wall) for attack, wall in ALONE if len(PROOFS[attack]) > 1]


def stopped(end: str) -> bool:
    return end.startswith("failed: ") or end == "killed: SIGSYS"


@pytest.mark.parametrize("attack", PROOFS)
def test_without_walls_it_gets_through(prison: Prison, attack: str) -> None:
    if attack in ROOTS and os.geteuid() != 0:
        pytest.skip("only root gets through")
    if attack == "load_a_module" and not os.path.exists("/proc/modules"):
        pytest.skip("this kernel has no modules")
    assert prison.run(attack, ()).end == "done"


@pytest.mark.parametrize("attack", PROOFS)
def test_with_all_walls_it_does_not(prison: Prison, kernel: dict[str, str], attack: str) -> None:
    if not any(kernel[wall] == "holds" for wall in PROOFS[attack]):
        need(kernel, *PROOFS[attack])
    assert stopped(prison.run(attack).end)


@pytest.mark.skipif(os.geteuid() != 0, reason="all other tests are an ordinary user's here")
@pytest.mark.parametrize("attack", PROOFS)
def test_ordinary_user_without_namespaces_is_kept_in(
    prison: Prison, kernel: dict[str, str], attack: str
) -> None:
    need(kernel, LANDLOCK, SECCOMP)
    outcome = prison.run(attack, uid=54321)
    assert stopped(outcome.end)
    if outcome.walls:
        assert outcome.walls[NAMESPACES] == "not permitted"
        assert {why for wall, why in outcome.walls.items() if wall != NAMESPACES} == {HOLDS}


@pytest.mark.parametrize(("attack", "wall"), ALONE)
def test_one_wall_is_enough(prison: Prison, kernel: dict[str, str], attack: str, wall: str) -> None:
    need(kernel, wall)
    if wall == CAPABILITIES and os.geteuid() != 0:
        pytest.skip("an ordinary user has no capability to lose")
    # An ordinary user's Landlock wants no-new-privs; nothing here is stopped by that alone.
    outcome = prison.run(attack, (wall,) if os.geteuid() == 0 else (PRIVILEGES, wall))
    assert stopped(outcome.end)


@pytest.mark.parametrize(("attack", "wall"), BEHIND)
def test_another_wall_stands_behind_it(
    prison: Prison, kernel: dict[str, str], attack: str, wall: str
) -> None:
    others = [other for other in PROOFS[attack] if other != wall]
    if not any(kernel[other] == "holds" for other in others):
        need(kernel, *others)
    rest = [other for other in WALLS if other != wall]
    assert stopped(prison.run(attack, rest).end)
