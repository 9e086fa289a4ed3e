"""docs/protocol.md says all that the schema says, and is the text that ``describe`` prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.ninep import fields as f
from protocol.ninep import flags
from protocol.ninep.describe import text
from protocol.ninep.schema import In
from protocol.ninep.table import table, wrapped
from protocol.xenpv.device import BackendOffer, RingOffer, backend_nodes, frontend_nodes
from protocol.xenpv.ids import Evtchn, Gref
from protocol.xenpv.layout import XEN_9PFS_DATA_INTF
from protocol.xenpv.xenbus import BACKEND, FRONTEND, Action

ROOT = Path(__file__).resolve().parents[3]
PAGE = text()
LINES = PAGE.splitlines()

# The notation of diod's protocol.md and of Plan 9's manual, written down from there.
WIRE_LINES = [
    "size[4] Tversion tag[2] msize[4] version[s]",
    "size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s] n_uname[4]",
    "size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])",
    "size[4] Rwalk tag[2] nwqid[2] nwqid*(wqid[13])",
    "size[4] Twrite tag[2] fid[4] offset[8] count[4] data[count]",
    "size[4] Tlcreate tag[2] fid[4] name[s] flags[4] mode[4] gid[4]",
    "size[4] Treaddir tag[2] fid[4] offset[8] count[4]",
    "size[4] Rstat tag[2] n[2] stat[n]",
    "size[4] Twstat tag[2] fid[4] n[2] stat[n]",
    "size[4] Rclunk tag[2]",
    "qid[13] offset[8] type[1] name[s]",
]


def test_the_page_in_the_tree_is_fresh() -> None:
    assert (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8") == PAGE


def test_the_page_is_the_same_every_time() -> None:
    assert text() == PAGE
    assert PAGE.endswith("\n")
    assert not PAGE.endswith("\n\n")
    assert "\n\n\n" not in PAGE


@pytest.mark.parametrize("line", WIRE_LINES)
def test_wire_lines_are_the_specifications(line: str) -> None:
    assert line in LINES


@pytest.mark.parametrize("message", f.MESSAGES, ids=lambda message: message.name)
def test_every_message_and_field_is_there(message: f.Message) -> None:
    dialects = {In.DOTL: "9P2000.L", In.DOTU: "9P2000.u", In.BOTH: "both"}
    dialect = dialects[message.schema.dialects]
    name, heading = message.name, message.name[1:]
    assert (
        f"| {message.number} | [{name}](#{heading}) | {dialect} | {message.schema.doc} |" in LINES
    )
    assert LINES.count(f"### {heading}") == 1
    assert any(line.startswith(f"size[4] {name} tag[2]") for line in LINES)
    rows = [line for line in LINES if line.startswith(f"| {name} | `")]
    assert [row.split("`")[1] for row in rows] == [field.name for field in message.fields]


def test_offsets_are_given_as_long_as_they_are_fixed() -> None:
    for row in (
        "| Tread | `offset` | 11 | 8 |  |",
        "| Rgetattr | `data_version` | 152 | 8 |  |",
        "| Tlcreate | `name` | 11 | 2 + length |  |",
        "| Tlcreate | `mode` |  | 4 | permissions |",
        "| Rstat | `stat` | 7 | 2 + n |  |",
        "| `name` | 41 | 2 + length | last path element |",
        "| `path` | 5 | 8 | the file's number, unique within the attached tree |",
    ):
        assert row in LINES


def test_every_link_finds_one_heading() -> None:
    headings = [line.lstrip("# ").lower().replace(" ", "-") for line in LINES if line[:1] == "#"]
    for target in set(re.findall(r"\(#([^)]*)\)", PAGE)):
        assert headings.count(target) == 1


def test_every_flag_is_there_with_its_value() -> None:
    for name, value in vars(flags).items():
        if isinstance(value, int):
            (row,) = (line for line in LINES if line.startswith(f"| `{name}` |"))
            assert int(row.split("`")[3], 0) == value


def test_the_device_is_there() -> None:
    offered = backend_nodes(BackendOffer(2, 9)) | frontend_nodes([RingOffer(Gref(1), Evtchn(1))])
    for node in offered:
        assert f"`{node.replace('0', '<n>')}`" in PAGE
    for action in Action:
        assert f"{action.name.lower()} → " in PAGE
    steps = re.findall(r"[a-z]+ → \d", PAGE)
    assert len(steps) == len(BACKEND) + len(FRONTEND)


def test_the_interface_pages_offsets_are_those_of_the_layout() -> None:
    marks = {"in_cons": 1, "in_prod": 2, "out_cons": 3, "out_prod": 4}
    built = XEN_9PFS_DATA_INTF.build({"indices": marks, "ring_order": 1, "ref": [5, 6]})
    for name, value in {**marks, "ring_order": 1, "ref": 5}.items():
        (row,) = (line for line in LINES if line.split(" | ")[2:3] == [f"`{name}`"])
        at = int(row.split(" | ")[0].lstrip("| "))
        assert int.from_bytes(built[at : at + 4], "little") == value


def test_tables_keep_a_bar_in_a_cell() -> None:
    assert table(("a", "b"), [("x|y", "")]) == "| a | b |\n|---|---|\n| x\\|y |  |\n"


def test_wire_lines_break_between_fields() -> None:
    assert wrapped("short[4]") == ["short[4]"]
    first, second = wrapped(" ".join(["field[4]"] * 11))
    assert first == " ".join(["field[4]"] * 10)
    assert second == "    field[4]"


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the tool of the tree ``root``, unmeasured: a copied tree is not in the coverage."""
    environment = {name: value for name, value in os.environ.items() if "COV" not in name}
    return subprocess.run(
        [sys.executable, root / "tools" / "generate_docs.py", *arguments],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_stale_page_is_noticed_and_put_right(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    for top in ("protocol", "tools"):
        shutil.copytree(ROOT / top, tmp_path / top, ignore=ignore)
    (tmp_path / "docs").mkdir()
    stale = "stale: docs/protocol.md; the schema has changed: run `python tools/generate_docs.py`\n"
    done = generate(tmp_path, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (1, stale, "")
    assert generate(tmp_path).stdout == "written: docs/protocol.md\n"
    done = generate(tmp_path, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    schema = tmp_path / "protocol" / "ninep" / "schema.py"
    schema.write_text(schema.read_text().replace("the dialect asked for", "what it wants"))
    assert generate(tmp_path, "--check").stdout == stale
