from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from backend.platform.xen.libraries import DECLARATIONS, Driver, load, open_handle
from backend.platform.xen.presence import under_xen

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.platform import Platform

HEADERS = ("xengnttab.h", "xenevtchn.h", "xentoollog.h", "xen/xen.h", "xen/event_channel.h")

needs_libraries = pytest.mark.skipif(
    not list(Path("/usr/lib").glob("*/libxengnttab.so.1")), reason="libxengnttab1 is not installed"
)
not_under_xen = pytest.mark.skipif(under_xen(), reason="this machine runs under Xen")


def words(text: str) -> str:
    """A declaration without comments and with one blank where C allows any."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return " ".join(re.findall(r"\w+|[^\s\w]", text))


def declarations() -> list[str]:
    return [words(part) + " ;" for part in DECLARATIONS.split(";") if part.strip()]


@pytest.mark.parametrize("declaration", declarations())
def test_each_declaration_stands_so_in_xens_headers(declaration: str) -> None:
    include = Path("/usr/include")
    if not (include / HEADERS[0]).exists():
        pytest.skip("libxen-dev is not installed")
    assert any(
        declaration in words((include / header).read_text(encoding="utf-8")) for header in HEADERS
    )


@needs_libraries
@pytest.mark.parametrize("name", ["gnttab", "evtchn", "toollog"])
def test_each_library_has_what_is_declared_for_it(name: str) -> None:
    prefixes = {"gnttab": "xengnt", "evtchn": "xenevtchn", "toollog": "xtl"}
    functions = re.findall(rf"\b({prefixes[name]}\w*)\(", DECLARATIONS)
    assert functions
    for function in functions:
        assert getattr(load(name), function)


def test_a_library_that_is_not_there_is_named_with_its_package() -> None:
    with pytest.raises(FileNotFoundError, match=r"libxennothing\.so\.1 .*apt install"):
        load("nothing")


@needs_libraries
@not_under_xen
@pytest.mark.parametrize(
    ("make", "node"),
    [
        (lambda platform: platform.grant_mapper, "/dev/xen/gntdev"),
        (lambda platform: platform.grant_sharer, "/dev/xen/gntalloc"),
        (lambda platform: platform.event_channels, "/dev/xen/evtchn"),
    ],
)
def test_without_xen_each_port_says_so_once(
    make: Callable[[Platform], Callable[[], object]],
    node: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    platform = open_platform("xen")
    with pytest.raises(OSError, match=rf"{node}, .*does not run under Xen"):
        make(platform)()
    platform.close()
    assert capfd.readouterr() == ("", "")  # the libraries' own words stay unsaid


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOENT, "load its driver with: modprobe xen-nothing"),
        (errno.EACCES, "run this as root"),
        (errno.ENOMEM, "Cannot allocate memory$"),
    ],
)
@needs_libraries
def test_under_xen_what_is_missing_is_named_with_its_remedy(
    number: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.platform.xen import libraries

    def opener(_logger: object, _flags: int) -> object:
        libraries.ffi.errno = number
        return libraries.ffi.NULL

    monkeypatch.setattr(libraries, "under_xen", lambda: True)
    with pytest.raises(OSError, match=remedy) as error:
        open_handle(opener, Driver("/dev/xen/nothing", "xen-nothing", "is for tests"))
    assert error.value.errno == number
