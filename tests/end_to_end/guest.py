"""A guest process: writes files through its device and reads them back, several in flight.

Usage: guest.py PLATFORM DOMID SEED COUNT MAX_BYTES.  Prints ``ok`` when every SHA-256 agreed.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid

WINDOW = 4


def contents(seed: int, count: int, most: int) -> dict[str, bytes]:
    """``count`` files of 1 to ``most`` bytes: as many small ones as large ones."""
    dice = random.Random(seed)
    sizes = [1, most, *(int(math.exp(dice.uniform(0, math.log(most)))) for _ in range(count - 2))]
    return {f"d{seed}-{n}": dice.randbytes(size) for n, size in enumerate(sizes)}


def main() -> None:
    """Write, read back, compare."""
    platform, domid, seed, count, most = sys.argv[1], *map(int, sys.argv[2:])
    files = contents(seed, count, most)
    with Share.attach(connect_device(platform, Domid(domid))) as share:
        print("connected", flush=True)
        for name, data in files.items():
            with share.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                assert file.pwrite(data, 0, window=WINDOW) == len(data)
        for name, data in files.items():
            back = bytearray(len(data) + 1)
            with share.open(name) as file:
                assert file.read_into(back, 0, window=WINDOW) == len(data)
            got = hashlib.sha256(memoryview(back)[: len(data)]).digest()
            assert got == hashlib.sha256(data).digest(), name
    print("ok", flush=True)


if __name__ == "__main__":
    main()
