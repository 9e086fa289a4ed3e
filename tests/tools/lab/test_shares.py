from __future__ import annotations

from pathlib import Path

import pytest

from tools.lab.images import SOURCE
from tools.lab.shares import ALL, SECONDS, dealt, machines, named

FILES = sorted(str(path.relative_to(SOURCE)) for path in (SOURCE / ALL[0]).glob("test_*.py"))


def test_without_a_choice_it_is_all_tests_of_the_lab_by_file_and_the_contract_suite() -> None:
    assert named([]) == ([*FILES, "tests/contract"], [])


@pytest.mark.parametrize("lab", ["tests/lab", "tests/lab/", "./tests/lab"])
def test_a_folder_of_the_lab_is_its_files(lab: str) -> None:
    assert named([lab]) == (FILES, [])


def test_what_names_no_test_is_pytest_s() -> None:
    words = ["--minutes=3", "tests/lab/test_ends.py", "-k", "loose or 6.1", "-k", "tools"]
    options = [word for word in words if word != "tests/lab/test_ends.py"]
    assert named(words) == (["tests/lab/test_ends.py"], options)


def test_one_test_of_a_file_is_named_as_it_is() -> None:
    test = "tests/lab/test_ends.py::test_fifty_guests_that_come_and_go"
    assert named([test, "-m", "long"]) == ([test], ["-m", "long"])


@pytest.mark.parametrize(
    ("stack", "idle"), [("12", "tests/lab/test_hook.py"), ("13", "tests/lab/test_stubdom.py")]
)
def test_all_tests_are_dealt_out_once_and_about_evenly(stack: str, idle: str) -> None:
    tests, _ = named([])
    shares = dealt(tests, 2, stack)
    assert sorted(test for share in shares for test in share) == sorted(tests)
    known = {**SECONDS, idle: 0}
    first, second = (sum(known.get(test, 0) for test in share) for share in shares)
    assert abs(first - second) < 0.1 * (first + second)


def test_a_machine_runs_its_tests_in_the_order_in_which_they_were_named() -> None:
    tests = ["tests/lab/test_doctor.py", "tests/lab/test_recovery.py", "tests/lab/test_ends.py"]
    assert dealt(tests, 1, "12") == [tests]
    assert dealt(tests, 2, "12") == [tests[1:2], [tests[0], tests[2]]]


def test_there_are_no_more_machines_than_files() -> None:
    assert dealt(["tests/lab/test_ends.py"], 2, "12") == [["tests/lab/test_ends.py"]]


def test_every_file_whose_time_is_known_is_there() -> None:
    assert [name for name in SECONDS if not Path(SOURCE, name).exists()] == []


@pytest.mark.parametrize(
    ("gigabytes", "processors", "room"), [(24, 2, 2), (24, 1, 1), (13, 8, 2), (12, 8, 1), (4, 2, 1)]
)
def test_there_is_room_for_one_machine_or_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gigabytes: int, processors: int, room: int
) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemFree:  1 kB\nMemAvailable:  {gigabytes << 20} kB\nHugePages_Free: 0\n")
    monkeypatch.setattr("tools.lab.shares.MEMORY", memory)
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert machines() == room
