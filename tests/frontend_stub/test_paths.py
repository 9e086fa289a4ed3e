import errno

import pytest

from frontend_stub.paths import components, split


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ()),
        ("/", ()),
        (".", ()),
        ("//a///b/./c/", (b"a", b"b", b"c")),
        (b"\xff\xfe/x", (b"\xff\xfe", b"x")),
        ("\udcff", (b"\xff",)),
        ("a/../b", (b"a", b"..", b"b")),
        ("ä", "ä".encode()),
        ("x" * 255, (b"x" * 255,)),
    ],
)
def test_components(path: str | bytes, names: tuple[bytes, ...] | bytes) -> None:
    assert components(path) == ((names,) if isinstance(names, bytes) else names)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("a\0b", errno.EINVAL),
        ("a/" + "x" * 256, errno.ENAMETOOLONG),
        ("ä" * 128, errno.ENAMETOOLONG),
    ],
)
def test_what_no_server_can_have(path: str, number: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        components(path)
    assert caught.value.errno == number
    assert caught.value.filename == path


def test_split() -> None:
    assert split("a/b/c") == ((b"a", b"b"), b"c")
    assert split("/c") == ((), b"c")


@pytest.mark.parametrize("path", ["", "/", "a/..", "."])
def test_split_needs_a_name(path: str) -> None:
    with pytest.raises(OSError, match="a name is needed") as caught:
        split(path)
    assert caught.value.errno == errno.EINVAL
