"""``status``: what is shown, and what happens when the other side is no supervisor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.cli import main
from backend.commands.status import COLUMNS, fitting
from tests.backend.commands.answering import answering

SERVING: dict[str, Any] = {
    "domid": 5,
    "devid": 0,
    "domain": "guest1",
    "tag": "files",
    "path": "/srv/files",
    "state": "connected",
    "frontend": "connected",
    "error": None,
    "worker": "serving",
    "answers": True,
    "pid": 4711,
    "version": "1.2",
    "uptime": 7300.5,
    "cpu_seconds": 1.5,
    "rings": 2,
    "order": 9,
    "walls": {"landlock": "holds", "seccomp": "holds"},
    "dialect": "9P2000.L",
    "msize": 524288,
    "fids": 12,
    "open_files": 3,
    "requests": 1000,
    "errors": 4,
    "bytes_read": 512,
    "bytes_written": 3 << 30,
}
WAITING: dict[str, Any] = {
    "domid": 6,
    "devid": 1,
    "tag": "x\x1b[2J\n",
    "path": None,
    "state": "closed",
    "frontend": "initialising",
    "error": "no\nway",
}


def show(capsys: pytest.CaptureFixture[str], devices: list[dict[str, Any]]) -> list[str]:
    document = {"version": "1.3", "devices": devices}
    with answering((b"status\n", json.dumps(document).encode())) as path:
        assert main(["status", "--socket", path]) == 0
    return capsys.readouterr().out.splitlines()


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = show(capsys, [SERVING, WAITING])
    assert " ".join(lines[0].split()) == (
        "device domain tag state dialect msize rings fids open read written requests errors pid "
        "version up cpu sandbox path"
    )
    assert " ".join(lines[1].split()) == (
        "d5/0 guest1 files connected 9P2000.L 524288 2x2048K 12 3 512 B 3.0 GiB 1000 4 4711 1.2 "
        "2h 1.50s whole /srv/files"
    )
    assert lines[2].split() == ["d6/1", "-", "x?[2J?", "closed", *["-"] * 15]
    assert lines[3] == "d6/1: closed: no?way"
    assert len(lines) == 4


def test_worker_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lines = show(capsys, [{**WAITING, "error": None, "pid": 4711, "answers": False}])
    assert lines[-1] == "d6/1: worker 4711 does not answer"


def test_walls_that_do_not_hold_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    broken = {**SERVING, "walls": {"landlock": "holds", "seccomp": "no\nlibrary"}}
    lines = show(capsys, [broken])
    assert " partly /srv/files" in " ".join(lines[1].split())
    assert lines[-1] == "d5/0: sandbox: no seccomp: no?library"
    lines = show(capsys, [{**SERVING, "walls": {}}])
    assert " OFF /srv/files" in " ".join(lines[1].split())
    assert lines[-1].startswith("d5/0: sandbox: it is off: ")


def test_no_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(capsys, []) == ["no devices"]


def test_json_is_everything(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"devices": [SERVING, WAITING], "pid": 1}
    with answering((b"status\n", json.dumps(document).encode())) as path:
        assert main(["status", "--json", "--socket", path]) == 0
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.parametrize("answer", [b"", b"{", b"\xff\xfe"])
def test_other_servers_are_told_apart(capsys: pytest.CaptureFixture[str], answer: bytes) -> None:
    with answering((b"status\n", answer)) as path:
        assert main(["status", "--socket", path]) == 1
    assert "the answer is not a supervisor's" in capsys.readouterr().err


def test_narrow_terminal_gets_whole_columns() -> None:
    rows = [dict.fromkeys(COLUMNS, "x" * 9)]
    assert len(fitting(rows, 250)) == 19
    narrow = fitting(rows, 80)
    assert sum(9 + 2 for _ in narrow) - 2 <= 80
    assert narrow[:3] == ["device", "tag", "state"]
    assert "cpu" not in narrow
    assert fitting(rows, 1) == ["device", "tag", "state", "requests"]


def test_a_column_that_is_too_wide_makes_room_for_others() -> None:
    rows = [{**dict.fromkeys(COLUMNS, "x"), "path": "x" * 200}]
    assert set(COLUMNS) - set(fitting(rows, 130)) == {"path"}


def test_a_worker_of_another_version_is_shown_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    adopted = {**SERVING, "adopted": 1.5}
    lines = show(capsys, [adopted])
    assert lines[-1] == "d5/0: worker 4711 of version 1.2 was started by an earlier supervisor"
    lines = show(capsys, [{**adopted, "recovers": True}])
    assert lines[-1].endswith("supervisor; 'xen-fileproxy upgrade' brings 1.3")
