"""Renames over and across directories, by two processes at once, and loses nothing on the way."""

import errno
import os
import sys

FILES = 40

ACROSS = os.environ["DIALECT"] == "9p2000.L"
"""9P2000.u renames within a directory only (Twstat carries a name); Linux answers EXDEV itself."""


def storm(who: int) -> None:
    """Files replace what both processes put under the same names, and wander about."""
    for number in range(FILES):
        name = f"{who}-{number}"
        with open(f"a/{name}", "w") as file:
            file.write(name)
        os.rename(f"a/{name}", f"a/target{number % 5}")
        with open(f"a/{name}", "w") as file:
            file.write(name)
        if ACROSS:
            os.rename(f"a/{name}", f"b/{name}")
            os.rename(f"b/{name}", f"b/target{number % 7}")


def errors() -> None:
    """What rename(2) refuses, with the errno that its page names."""
    os.makedirs("full/inside")
    os.mkdir("empty")
    with open("plain", "w") as file:
        file.write("plain")
    refused("full", "full/inside/below", errno.EINVAL)
    refused("missing", "any", errno.ENOENT)
    refused("plain", "empty", errno.EISDIR)
    refused("empty", "plain", errno.ENOTDIR)
    refused("empty", "full", errno.ENOTEMPTY)
    os.rename("full", "other")
    os.mkdir("full")
    os.rename("other", "full")
    assert os.listdir("full") == ["inside"]
    if ACROSS:
        os.rename("empty", "full/inside/empty")
        assert os.listdir("full/inside") == ["empty"]


def refused(old: str, new: str, number: int) -> None:
    """``os.rename`` must fail with this errno."""
    try:
        os.rename(old, new)
    except OSError as error:
        if error.errno in (number, errno.EXDEV):
            return
        sys.exit(f"rename {old} {new}: {error}, expected {errno.errorcode[number]}")
    sys.exit(f"rename {old} {new}: went through, expected {errno.errorcode[number]}")


def main() -> None:
    """Two processes, then the refusals."""
    os.mkdir("a")
    os.mkdir("b")
    children = []
    for who in range(2):
        child = os.fork()
        if child == 0:
            storm(who)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    left = {folder: sorted(os.listdir(folder)) for folder in ("a", "b")}
    assert len(left["a"]) == (5 if ACROSS else 5 + 2 * FILES), left
    assert len(left["b"]) == (7 if ACROSS else 0), left
    for folder, names in left.items():
        for name in names:
            with open(f"{folder}/{name}") as file:
                assert file.read().count("-") == 1
    errors()
    print("renamed over, within" + (" and across directories" if ACROSS else " one directory"))


main()
