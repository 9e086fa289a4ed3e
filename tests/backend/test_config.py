"""The configuration file: what is accepted, what is refused, and how it says so."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from backend import config
from backend.config import Config, ConfigError
from backend.config_reference import example, reference, template

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_empty_document_gives_the_defaults() -> None:
    assert config.from_mapping({}) == Config()


def test_every_default_satisfies_its_own_rule() -> None:
    for key, default, _field in config.entries():
        config.check_value(key, default)


def test_values_reach_their_fields() -> None:
    got = config.from_mapping(
        tomllib.loads(
            """
            platform = "embedded:/tmp/hv"
            allowed-exports = ["/srv/a", "/srv/b"]
            [limits]
            max-rings = 2
            [timeouts]
            stop = 1
            """
        )
    )
    assert got.platform == "embedded:/tmp/hv"
    assert got.allowed_exports == ("/srv/a", "/srv/b")
    assert got.limits == dataclasses.replace(config.Limits(), max_rings=2)
    assert got.timeouts.stop == 1.0
    assert isinstance(got.timeouts.stop, float)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            "[limits]\nmax-ring = 2",
            "unknown key 'limits.max-ring': did you mean 'limits.max-rings'?",
        ),
        ("max-rings = 2", "unknown key 'max-rings': did you mean 'limits.max-rings'?"),
        ("plattform = 'xen'", "unknown key 'plattform': did you mean 'platform'?"),
        (
            "zzz = 1",
            "unknown key 'zzz'; known here: allowed-exports, confinement, limits, log-level, ",
        ),
        ("limits = 3", "limits is 3; it must be a table: [limits]"),
        (
            "[limits]\nmax-rings = 99",
            "limits.max-rings is 99; it must be a whole number from 1 to 9",
        ),
        ("[limits]\nmax-rings = true", "limits.max-rings is true; it must be a whole number"),
        ("[limits]\nmax-rings = '2'", 'limits.max-rings is "2"; it must be a whole number'),
        ("[limits]\nmax-msize = 4095", "limits.max-msize is 4095; it must be a whole number"),
        ("[timeouts]\nstop = 0", "timeouts.stop is 0; it must be seconds, from 0.1 to 600"),
        ("[timeouts]\nstop = nan", "timeouts.stop is nan; it must be seconds, from 0.1 to 600"),
        ("platform = 'kvm'", 'platform is "kvm"; it must be "xen" or "embedded:DIR"'),
        ("platform = 'embedded:'", 'platform is "embedded:"; it must be'),
        ("[confinement]\nsandbox = 1", "confinement.sandbox is 1; it must be true or false"),
        (
            "[confinement]\nrequire = ['moat']",
            "confinement.require is ['moat']; it must be a list of walls: \"namespaces\", ",
        ),
        ("allowed-exports = ['srv']", "allowed-exports is ['srv']; it must be a list of absolute"),
        ("allowed-exports = '/srv'", 'allowed-exports is "/srv"; it must be a list of absolute'),
        ("log-level = 'loud'", 'log-level is "loud"; it must be one of "error", "warning", "info"'),
        (
            "run-dir = '%s'" % ("x" * 500),
            "...; it must be an absolute path",
        ),
    ],
)
def test_a_mistake_is_named(document: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_mapping(tomllib.loads(document))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_file_errors_name_the_file(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=f"^{missing}: no such file$"):
        config.load(missing)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(str(tmp_path))
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"a = [")
    with pytest.raises(ConfigError, match=f"^{bad}: not TOML: "):
        config.load(str(bad))
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=f"^{bad}: not TOML: "):
        config.load(str(bad))
    bad.write_text("[limits]\nmax-fids = 0\n")
    with pytest.raises(ConfigError, match=f"^{bad}: limits.max-fids is 0; "):
        config.load(str(bad))


def test_the_example_of_the_documentation_is_the_defaults() -> None:
    assert config.from_mapping(tomllib.loads(example())) == Config()


def test_the_template_is_the_defaults_and_so_are_its_comments() -> None:
    assert config.from_mapping(tomllib.loads(template())) == Config()
    uncommented = re.sub(r"^#(?! )", "", template(), flags=re.MULTILINE)
    assert tomllib.loads(uncommented) == tomllib.loads(example())


def test_documentation_is_fresh() -> None:
    """``xen-fileproxy check-config --reference > docs/configuration.md`` refreshes it."""
    assert DOCS.read_text() == reference()


def test_documentation_has_every_key_and_its_range() -> None:
    text = DOCS.read_text()
    for key, _default, entry in config.entries():
        assert f"`{key.rpartition('.')[2]}`" in text
        assert entry.metadata["kind"].words in text
