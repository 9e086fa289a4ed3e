from __future__ import annotations

from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

from tools.lab.suite import Outcome
from tools.lab.together import Lines, together
from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from tools.lab.together import Say

LOGS = Path("logs")


def test_they_run_at_the_same_time_and_what_they_find_is_in_their_order() -> None:
    both = Barrier(2)

    def run(logs: Path, say: Say) -> list[Outcome]:
        both.wait(10)
        say("one line\n")
        return [Outcome(str(logs), "ok", 1.0, "")]

    said: list[str] = []
    found = together([run, run], LOGS, said.append)
    assert [outcome.name for outcome in found] == ["logs/1", "logs/2"]
    assert sorted(said) == ["1| one line\n", "2| one line\n"]


def test_what_others_have_found_outlives_a_machine_that_fails() -> None:
    def well(logs: Path, say: Say) -> list[Outcome]:
        return [Outcome("a test", "ok", 1.0, "")]

    def broken(logs: Path, say: Say) -> list[Outcome]:
        raise GuestError("Dom0 has crashed")

    assert together([broken, well], LOGS, print) == [
        Outcome("machine 1", "FAILED", 0.0, "Dom0 has crashed"),
        Outcome("a test", "ok", 1.0, ""),
    ]


def test_a_line_is_said_when_it_is_whole() -> None:
    said: list[str] = []
    lines = Lines("2| ", said.append)
    lines("beg")
    lines("un\n\nnext")
    lines("\n")
    assert "".join(said) == "2| begun\n2| \n2| next\n"
