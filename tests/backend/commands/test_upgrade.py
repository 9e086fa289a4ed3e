"""``upgrade``: which devices are meant, what is asked for, and what is said of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.cli import main
from backend.commands.failure import CommandError
from backend.commands.upgrade import chosen
from backend.version import version
from tests.backend.commands.answering import answering

FIRST: dict[str, Any] = {
    "domid": 5,
    "devid": 0,
    "domain": "guest1",
    "version": "0.0.1",
    "pid": 10,
}
SECOND = {**FIRST, "devid": 1, "version": version()}
THIRD = {**FIRST, "domid": 7, "domain": None}
IDLE = {"domid": 8, "devid": 0, "domain": "guest2"}
DEVICES = [FIRST, SECOND, THIRD, IDLE]


@pytest.mark.parametrize(
    ("names", "devices"),
    [
        ([], [FIRST, SECOND, THIRD]),
        (["guest1"], [FIRST, SECOND]),
        (["5/1", "d5"], [FIRST, SECOND]),
        (["d7/0", "guest1/0"], [FIRST, THIRD]),
        (["7", "7"], [THIRD]),
        (["guest2"], [IDLE]),
    ],
)
def test_devices_are_meant_by_name_or_number(names: list[str], devices: list[Any]) -> None:
    assert chosen(DEVICES, names) == devices


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(CommandError, match=r"d9: no such device; those .*: d5/0, d5/1, d7/0, d8/0"):
        chosen(DEVICES, ["d9"])
    with pytest.raises(CommandError, match="none"):
        chosen([], ["d9"])


def status(devices: list[Any], running: str | None = None) -> tuple[bytes, bytes]:
    document = {"version": running or version(), "devices": devices}
    return b"status\n", json.dumps(document).encode()


def answer(key: str, **fields: Any) -> tuple[bytes, bytes]:
    return f"upgrade {key}\n".encode(), json.dumps(fields).encode()


UPGRADED = {"upgraded": True, "reason": None, "remedy": None, "pause": 0.0123}
KEPT = {"upgraded": False, "reason": "it is\nbusy", "remedy": "try again", "pause": None}


def test_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(status(DEVICES), answer("5/0", **UPGRADED), answer("7/0", **KEPT)) as path:
        assert main(["upgrade", "--socket", path]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"d5/0 (guest1): upgraded from 0.0.1 to {version()}, a pause of 12 ms",
        f"d5/1 (guest1): runs version {version()} already",
        "d7/0: NOT upgraded: it is?busy (try again)",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(status([SECOND]), answer("5/1", **UPGRADED)) as path:
        assert main(["upgrade", "--again", "--json", "--socket", path]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": version(),
        "devices": [
            {
                "device": "d5/1",
                "domain": "guest1",
                "from": version(),
                "result": "upgraded",
                "to": version(),
                "pause": 0.0123,
            }
        ],
    }


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(status([IDLE])) as path:
        assert main(["upgrade", "--socket", path]) == 0
    assert capsys.readouterr().out == "no device has a worker\n"


def test_the_supervisor_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(status(DEVICES, "0.0.1")) as path:
        assert main(["upgrade", "--socket", path]) == 1
    assert "the supervisor runs version 0.0.1" in capsys.readouterr().err


def test_a_supervisor_that_ends_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(status([FIRST]), (b"upgrade 5/0\n", b"")) as path:
        assert main(["upgrade", "--socket", path]) == 1
    assert "ended in between" in capsys.readouterr().err
