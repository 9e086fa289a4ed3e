"""Which paths there are, and how they hang together."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.platform.embedded import xenstore_paths as paths


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/a", "/a"),
        (b"/a-b/C_9/@x", "/a-b/C_9/@x"),
        (b"device/9pfs", "/local/domain/7/device/9pfs"),
        (b"/" + b"a" * 3071, "/" + "a" * 3071),
        (b"a" * 2048, "/local/domain/7/" + "a" * 2048),
    ],
)
def test_valid(raw: bytes, path: str) -> None:
    assert paths.canonical(raw, 7) == path


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"//", b"/a/", b"a/", b"/a//b", b"/a b", b"/a.b", b"/a\n", b"\xe4", b"/a\0b"),
        *(b"@releaseDomain", b"@", b"/" + b"a" * 3072, b"a" * 2049),
    ],
)
def test_invalid(raw: bytes) -> None:
    with pytest.raises(OSError, match="Invalid") as caught:
        paths.canonical(raw, 7)
    assert caught.value.errno == errno.EINVAL


def test_special_paths_where_they_are_allowed() -> None:
    assert paths.canonical(b"@releaseDomain", 7, special=True) == paths.RELEASE_DOMAIN


def test_what_is_above() -> None:
    assert paths.with_ancestors("/a/b/c") == ["/a/b/c", "/a/b", "/a", "/"]
    assert paths.with_ancestors("/") == ["/"]
    assert paths.with_ancestors("@releaseDomain") == ["@releaseDomain"]
    assert paths.parent("@releaseDomain") == "/"


names = st.text("abcXYZ019-_@", min_size=1, max_size=5)


@given(st.lists(names, max_size=6), names)
def test_a_child_is_below_its_parent(components: list[str], name: str) -> None:
    path = "/" + "/".join(components)
    child = paths.child(path, name)
    assert paths.canonical(child.encode(), 0) == child
    assert paths.parent(child) == path
    assert paths.name(child) == name


def test_a_domains_own_part_of_a_path() -> None:
    assert paths.own_length("/local/domain/5/data/x") == len("data/x")
    assert paths.own_length("/local/domain/5") == len("/local/domain/5")
    assert paths.own_length("/backend/x") == len("/backend/x")
