from __future__ import annotations

from tools.lab.suite import Outcome, outcomes, table

REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.lab.test_ends" name="test_one" time="1.25"/>
<testcase classname="tests.lab.test_ends" name="test_two" time="0.5">
<failure message="AssertionError: no write&#10;more">trace</failure></testcase>
<testcase classname="tests.lab.test_ends" name="test_three" time="0">
<skipped message="no reason"/></testcase>
<testcase classname="tests.lab.test_ends" name="test_four" time="2">
<error message="it broke">trace</error></testcase>
</testsuite></testsuites>
"""


def test_a_report_becomes_outcomes_and_a_table() -> None:
    found = outcomes(REPORT)
    assert found[0] == Outcome("lab.test_ends.test_one", "ok", 1.25, "")
    assert [outcome.verdict for outcome in found] == ["ok", "FAILED", "skipped", "FAILED"]
    assert table({"12": found, "13": found[:1]}).splitlines() == [
        "                          Debian 12           Debian 13",
        "lab.test_ends.test_one    ok          1.2 s   ok          1.2 s",
        "lab.test_ends.test_two    FAILED      0.5 s   -",
        "    AssertionError: no write",
        "lab.test_ends.test_three  skipped     0.0 s   -",
        "    no reason",
        "lab.test_ends.test_four   FAILED      2.0 s   -",
        "    it broke",
    ]


def test_a_name_that_is_endless_is_cut_in_the_table() -> None:
    long = Outcome(f"contract.test_store[{'a' * 4096}]", "ok", 1, "")
    (line,) = table({"12": [long]}).splitlines()[1:]
    assert line.startswith("contract.test_store[aaa")
    assert line.endswith("aaa...  ok          1.0 s")
    assert len(line) < 140
