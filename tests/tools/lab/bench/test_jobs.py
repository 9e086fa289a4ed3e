from __future__ import annotations

from typing import TYPE_CHECKING

from tools.lab.bench import jobs

if TYPE_CHECKING:
    from pathlib import Path


def test_each_job_does_what_its_title_says_to_a_share_as_dom0_prepares_it(tmp_path: Path) -> None:
    (tmp_path / "listed").mkdir()
    for number in range(jobs.LISTED):
        (tmp_path / "listed" / str(number)).touch()
    (tmp_path / "many").mkdir()
    (tmp_path / "data").write_bytes(bytes(jobs.DATA_BYTES))
    left = []
    for turn in range(2):
        for name, job in jobs.JOBS.items():
            assert jobs.timed(job, str(tmp_path), turn) > 0
            if name == "create":
                left.append(len(list((tmp_path / "many").iterdir())))
    assert left == [jobs.FILES, jobs.FILES]
    assert not list((tmp_path / "many").iterdir())
    assert (tmp_path / "data").stat().st_size == jobs.DATA_BYTES
    assert any((tmp_path / "data").read_bytes()[:4096])
