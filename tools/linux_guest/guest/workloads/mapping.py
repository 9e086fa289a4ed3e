"""A shared writable mapping reaches the file: with msync, on unmapping, and beside write(2)."""

import mmap
import os

SIZE = 1 << 20


def main() -> None:
    """Write through the mapping, read through the file, and the other way round."""
    file = os.open("mapped", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, SIZE)
    with mmap.mmap(file, SIZE) as mapping:
        for offset in range(0, SIZE, 4096):
            mapping[offset : offset + 8] = offset.to_bytes(8, "little")
        mapping.flush()
        assert os.pread(file, 8, 4096 * 100) == (4096 * 100).to_bytes(8, "little")
        os.pwrite(file, b"written!", 4096 * 7)
        assert mapping[4096 * 7 : 4096 * 7 + 8] == b"written!"
        mapping[-1:] = b"!"
    os.fsync(file)
    os.close(file)
    with open("mapped", "rb") as again:
        content = again.read()
    assert len(content) == SIZE
    assert content[-1:] == b"!"
    assert content[4096 * 9 : 4096 * 9 + 8] == (4096 * 9).to_bytes(8, "little")
    print(f"{SIZE >> 10} KiB mapped, written, read back")


main()
