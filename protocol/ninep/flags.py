"""The bits and values that message fields carry.

Sources: Linux ``include/net/9p/9p.h`` (names there begin with ``P9_``) and diod ``protocol.md``;
XATTR_* from ``linux/xattr.h``, DT_* from readdir(3).  Plain integers: an IntFlag costs a
microsecond for each operation, and the file server tests these on every request.
"""

from __future__ import annotations

from typing import Final

# qid.type; the same bits lead in a 9P2000.u mode (the DM bits).
QTDIR: Final = 0x80
QTAPPEND: Final = 0x40
QTEXCL: Final = 0x20
QTMOUNT: Final = 0x10
QTAUTH: Final = 0x08
QTTMP: Final = 0x04
QTSYMLINK: Final = 0x02
QTLINK: Final = 0x01
QTFILE: Final = 0x00

# Tlopen.flags, Tlcreate.flags: Linux's open(2) flags as x86 numbers them, whatever the host.
DOTL_RDONLY: Final = 0o0
DOTL_WRONLY: Final = 0o1
DOTL_RDWR: Final = 0o2
DOTL_NOACCESS: Final = 0o3
DOTL_ACCMODE: Final = 0o3
DOTL_CREATE: Final = 0o100
DOTL_EXCL: Final = 0o200
DOTL_NOCTTY: Final = 0o400
DOTL_TRUNC: Final = 0o1000
DOTL_APPEND: Final = 0o2000
DOTL_NONBLOCK: Final = 0o4000
DOTL_DSYNC: Final = 0o10000
DOTL_FASYNC: Final = 0o20000
DOTL_DIRECT: Final = 0o40000
DOTL_LARGEFILE: Final = 0o100000
DOTL_DIRECTORY: Final = 0o200000
DOTL_NOFOLLOW: Final = 0o400000
DOTL_NOATIME: Final = 0o1000000
DOTL_CLOEXEC: Final = 0o2000000
DOTL_SYNC: Final = 0o4000000

# Topen.mode, Tcreate.mode (9P2000.u).
OREAD: Final = 0x00
OWRITE: Final = 0x01
ORDWR: Final = 0x02
OEXEC: Final = 0x03
OACCMODE: Final = 0x03
OTRUNC: Final = 0x10
OREXEC: Final = 0x20
ORCLOSE: Final = 0x40
OAPPEND: Final = 0x80
"""Linux's addition."""

# Tcreate.perm, Stat.mode (9P2000.u); the low nine bits are rwxrwxrwx.
DMDIR: Final = 0x8000_0000
DMAPPEND: Final = 0x4000_0000
DMEXCL: Final = 0x2000_0000
DMMOUNT: Final = 0x1000_0000
DMAUTH: Final = 0x0800_0000
DMTMP: Final = 0x0400_0000
DMSYMLINK: Final = 0x0200_0000
DMLINK: Final = 0x0100_0000
DMDEVICE: Final = 0x0080_0000
DMNAMEDPIPE: Final = 0x0020_0000
DMSOCKET: Final = 0x0010_0000
DMSETUID: Final = 0x0008_0000
DMSETGID: Final = 0x0004_0000
DMSETVTX: Final = 0x0001_0000

# Tgetattr.request_mask, Rgetattr.valid.
GETATTR_MODE: Final = 0x0001
GETATTR_NLINK: Final = 0x0002
GETATTR_UID: Final = 0x0004
GETATTR_GID: Final = 0x0008
GETATTR_RDEV: Final = 0x0010
GETATTR_ATIME: Final = 0x0020
GETATTR_MTIME: Final = 0x0040
GETATTR_CTIME: Final = 0x0080
GETATTR_INO: Final = 0x0100
GETATTR_SIZE: Final = 0x0200
GETATTR_BLOCKS: Final = 0x0400
GETATTR_BTIME: Final = 0x0800
GETATTR_GEN: Final = 0x1000
GETATTR_DATA_VERSION: Final = 0x2000
GETATTR_BASIC: Final = 0x07FF
GETATTR_ALL: Final = 0x3FFF

# Tsetattr.valid.
SETATTR_MODE: Final = 0x0001
SETATTR_UID: Final = 0x0002
SETATTR_GID: Final = 0x0004
SETATTR_SIZE: Final = 0x0008
SETATTR_ATIME: Final = 0x0010
SETATTR_MTIME: Final = 0x0020
SETATTR_CTIME: Final = 0x0040
SETATTR_ATIME_SET: Final = 0x0080
SETATTR_MTIME_SET: Final = 0x0100
SETATTR_ALL: Final = 0x01FF

# Tunlinkat.flags: the only bit, as 9P fixes it.
AT_REMOVEDIR: Final = 0x200

# Txattrcreate.flags.
XATTR_CREATE: Final = 1
XATTR_REPLACE: Final = 2

# Tlock.type, Tlock.flags, Rlock.status.
LOCK_TYPE_RDLCK: Final = 0
LOCK_TYPE_WRLCK: Final = 1
LOCK_TYPE_UNLCK: Final = 2
LOCK_FLAGS_BLOCK: Final = 1
LOCK_FLAGS_RECLAIM: Final = 2
LOCK_SUCCESS: Final = 0
LOCK_BLOCKED: Final = 1
LOCK_ERROR: Final = 2
LOCK_GRACE: Final = 3

# Dirent.type.
DT_UNKNOWN: Final = 0
DT_FIFO: Final = 1
DT_CHR: Final = 2
DT_DIR: Final = 4
DT_BLK: Final = 6
DT_REG: Final = 8
DT_LNK: Final = 10
DT_SOCK: Final = 12
