"""Files that are open live on after unlink, rename and replacement, as any program expects."""

import os


def main() -> None:
    """Each step fails with an assertion."""
    file = os.open("gone", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, b"before")
    os.unlink("gone")
    os.write(file, b" and after")
    os.fsync(file)
    assert os.pread(file, 100, 0) == b"before and after"
    assert os.fstat(file).st_size == 16
    os.ftruncate(file, 6)
    assert os.pread(file, 100, 0) == b"before"
    os.fchmod(file, 0o640)
    assert os.fstat(file).st_mode & 0o777 == 0o640
    os.close(file)
    assert not os.path.exists("gone")

    file = os.open("first", os.O_RDWR | os.O_CREAT)
    os.write(file, b"first")
    with open("second", "w") as second:
        second.write("second")
    os.rename("second", "first")
    assert os.pread(file, 100, 0) == b"first"
    with open("first") as now:
        assert now.read() == "second"
    os.rename("first", "third")
    os.pwrite(file, b"FIRST", 0)
    assert os.pread(file, 100, 0) == b"FIRST"
    os.close(file)
    with open("third") as now:
        assert now.read() == "second"

    os.mkdir("directory")
    directory = os.open("directory", os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir("directory")
    assert os.listdir(directory) == []
    os.close(directory)
    print("unlinked, replaced, renamed and removed while open")


main()
