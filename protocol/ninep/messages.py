"""The messages of 9P2000.L and 9P2000.u as immutable tuples.

GENERATED from schema.py by tools/generate_codec.py: do not edit.  The first field is the tag, the
others follow in wire order.  Strings are ``bytes``; file data and directory entries travel beside
the message and only their ``count`` is in it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from protocol.ninep.ids import Fid, Tag  # noqa: TC001 -- for typing.get_type_hints


class Qid(NamedTuple):
    """The server's name for a file: two files are the same if their qids are."""

    type: int
    version: int
    path: int


class Stat(NamedTuple):
    """The attributes of a file in 9P2000.u; also an entry of a directory read there."""

    type: int
    dev: int
    qid: Qid
    mode: int
    atime: int
    mtime: int
    length: int
    name: bytes
    uid: bytes
    gid: bytes
    muid: bytes
    extension: bytes
    n_uid: int
    n_gid: int
    n_muid: int


class Dirent(NamedTuple):
    """An entry of a directory in 9P2000.L."""

    qid: Qid
    offset: int
    type: int
    name: bytes


class Rlerror(NamedTuple):
    """The request failed."""

    tag: Tag
    ecode: int


class Tstatfs(NamedTuple):
    """Ask about the file system."""

    tag: Tag
    fid: Fid


class Rstatfs(NamedTuple):
    """What statfs(2) says."""

    tag: Tag
    type: int
    bsize: int
    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int
    fsid: int
    namelen: int


class Tlopen(NamedTuple):
    """Open fid."""

    tag: Tag
    fid: Fid
    flags: int


class Rlopen(NamedTuple):
    """fid is open."""

    tag: Tag
    qid: Qid
    iounit: int


class Tlcreate(NamedTuple):
    """Create a regular file in the directory fid; fid becomes that file, open."""

    tag: Tag
    fid: Fid
    name: bytes
    flags: int
    mode: int
    gid: int


class Rlcreate(NamedTuple):
    """fid is the new file."""

    tag: Tag
    qid: Qid
    iounit: int


class Tsymlink(NamedTuple):
    """Create a symbolic link in the directory fid."""

    tag: Tag
    fid: Fid
    name: bytes
    symtgt: bytes
    gid: int


class Rsymlink(NamedTuple):
    """The new link."""

    tag: Tag
    qid: Qid


class Tmknod(NamedTuple):
    """Create a device node, FIFO or socket."""

    tag: Tag
    dfid: Fid
    name: bytes
    mode: int
    major: int
    minor: int
    gid: int


class Rmknod(NamedTuple):
    """The new node."""

    tag: Tag
    qid: Qid


class Trename(NamedTuple):
    """Move the file fid to name in the directory dfid."""

    tag: Tag
    fid: Fid
    dfid: Fid
    name: bytes


class Rrename(NamedTuple):
    """The file is moved."""

    tag: Tag


class Treadlink(NamedTuple):
    """Read a symbolic link."""

    tag: Tag
    fid: Fid


class Rreadlink(NamedTuple):
    """Where it points."""

    tag: Tag
    target: bytes


class Tgetattr(NamedTuple):
    """Read attributes."""

    tag: Tag
    fid: Fid
    request_mask: int


class Rgetattr(NamedTuple):
    """The attributes whose bits are set in valid; the others mean nothing."""

    tag: Tag
    valid: int
    qid: Qid
    mode: int
    uid: int
    gid: int
    nlink: int
    rdev: int
    size: int
    blksize: int
    blocks: int
    atime_sec: int
    atime_nsec: int
    mtime_sec: int
    mtime_nsec: int
    ctime_sec: int
    ctime_nsec: int
    btime_sec: int
    btime_nsec: int
    gen: int
    data_version: int


class Tsetattr(NamedTuple):
    """Change the attributes whose bits are set in valid."""

    tag: Tag
    fid: Fid
    valid: int
    mode: int
    uid: int
    gid: int
    size: int
    atime_sec: int
    atime_nsec: int
    mtime_sec: int
    mtime_nsec: int


class Rsetattr(NamedTuple):
    """The attributes are changed."""

    tag: Tag


class Txattrwalk(NamedTuple):
    """Make newfid read the extended attribute name."""

    tag: Tag
    fid: Fid
    newfid: Fid
    name: bytes


class Rxattrwalk(NamedTuple):
    """newfid can be read."""

    tag: Tag
    size: int


class Txattrcreate(NamedTuple):
    """Make fid take the extended attribute's value; it is set when fid is clunked."""

    tag: Tag
    fid: Fid
    name: bytes
    attr_size: int
    flags: int


class Rxattrcreate(NamedTuple):
    """fid can be written."""

    tag: Tag


class Treaddir(NamedTuple):
    """Read entries of an open directory."""

    tag: Tag
    fid: Fid
    offset: int
    count: int  # type: ignore[assignment]  # tuple.count


class Rreaddir(NamedTuple):
    """Whole entries, one after the other; none: the directory is at its end."""

    tag: Tag
    count: int  # type: ignore[assignment]  # tuple.count


class Tfsync(NamedTuple):
    """Have all data of fid on disk."""

    tag: Tag
    fid: Fid
    datasync: int


class Rfsync(NamedTuple):
    """The data is on disk."""

    tag: Tag


class Tlock(NamedTuple):
    """Take or drop a POSIX record lock."""

    tag: Tag
    fid: Fid
    type: int
    flags: int
    start: int
    length: int
    proc_id: int
    client_id: bytes


class Rlock(NamedTuple):
    """How it went."""

    tag: Tag
    status: int


class Tgetlock(NamedTuple):
    """Ask who holds a lock in the way of this one."""

    tag: Tag
    fid: Fid
    type: int
    start: int
    length: int
    proc_id: int
    client_id: bytes


class Rgetlock(NamedTuple):
    """The lock in the way, or LOCK_TYPE_UNLCK."""

    tag: Tag
    type: int
    start: int
    length: int
    proc_id: int
    client_id: bytes


class Tlink(NamedTuple):
    """Give the file fid one more name, in the directory dfid."""

    tag: Tag
    dfid: Fid
    fid: Fid
    name: bytes


class Rlink(NamedTuple):
    """The link is made."""

    tag: Tag


class Tmkdir(NamedTuple):
    """Create a directory."""

    tag: Tag
    dfid: Fid
    name: bytes
    mode: int
    gid: int


class Rmkdir(NamedTuple):
    """The new directory."""

    tag: Tag
    qid: Qid


class Trenameat(NamedTuple):
    """Move a file by its name."""

    tag: Tag
    olddirfid: Fid
    oldname: bytes
    newdirfid: Fid
    newname: bytes


class Rrenameat(NamedTuple):
    """The file is moved."""

    tag: Tag


class Tunlinkat(NamedTuple):
    """Remove a file by its name."""

    tag: Tag
    dirfid: Fid
    name: bytes
    flags: int


class Runlinkat(NamedTuple):
    """The file is removed."""

    tag: Tag


class Tversion(NamedTuple):
    """Begin a session: every fid and request of an earlier one is forgotten."""

    tag: Tag
    msize: int
    version: bytes


class Rversion(NamedTuple):
    """What the session is to be."""

    tag: Tag
    msize: int
    version: bytes


class Tauth(NamedTuple):
    """Open a fid to authenticate through."""

    tag: Tag
    afid: Fid
    uname: bytes
    aname: bytes
    n_uname: int


class Rauth(NamedTuple):
    """The authentication fid's qid."""

    tag: Tag
    aqid: Qid


class Tattach(NamedTuple):
    """Make fid the root of the tree aname for the user uname."""

    tag: Tag
    fid: Fid
    afid: Fid
    uname: bytes
    aname: bytes
    n_uname: int


class Rattach(NamedTuple):
    """The root's qid."""

    tag: Tag
    qid: Qid


class Rerror(NamedTuple):
    """The request failed."""

    tag: Tag
    ename: bytes
    errno: int


class Tflush(NamedTuple):
    """Forget the request oldtag."""

    tag: Tag
    oldtag: Tag


class Rflush(NamedTuple):
    """oldtag will not be answered from now on."""

    tag: Tag


class Twalk(NamedTuple):
    """Go down from fid, one name after the other, and call the end newfid."""

    tag: Tag
    fid: Fid
    newfid: Fid
    wnames: tuple[bytes, ...]


class Rwalk(NamedTuple):
    """The qids of the names that were found; fewer than asked: newfid was not made."""

    tag: Tag
    wqids: tuple[Qid, ...]


class Topen(NamedTuple):
    """Open fid."""

    tag: Tag
    fid: Fid
    mode: int


class Ropen(NamedTuple):
    """fid is open."""

    tag: Tag
    qid: Qid
    iounit: int


class Tcreate(NamedTuple):
    """Create a file of the kind perm says in the directory fid; fid becomes it, open."""

    tag: Tag
    fid: Fid
    name: bytes
    perm: int
    mode: int
    extension: bytes


class Rcreate(NamedTuple):
    """fid is the new file."""

    tag: Tag
    qid: Qid
    iounit: int


class Tread(NamedTuple):
    """Read from an open file; in 9P2000.u from a directory too."""

    tag: Tag
    fid: Fid
    offset: int
    count: int  # type: ignore[assignment]  # tuple.count


class Rread(NamedTuple):
    """The bytes; fewer than asked only at the end of the file."""

    tag: Tag
    count: int  # type: ignore[assignment]  # tuple.count


class Twrite(NamedTuple):
    """Write to an open file."""

    tag: Tag
    fid: Fid
    offset: int
    count: int  # type: ignore[assignment]  # tuple.count


class Rwrite(NamedTuple):
    """How much was written."""

    tag: Tag
    count: int  # type: ignore[assignment]  # tuple.count


class Tclunk(NamedTuple):
    """Forget fid."""

    tag: Tag
    fid: Fid


class Rclunk(NamedTuple):
    """fid is free."""

    tag: Tag


class Tremove(NamedTuple):
    """Remove the file, and forget fid in any case."""

    tag: Tag
    fid: Fid


class Rremove(NamedTuple):
    """The file is removed."""

    tag: Tag


class Tstat(NamedTuple):
    """Read attributes."""

    tag: Tag
    fid: Fid


class Rstat(NamedTuple):
    """The attributes."""

    tag: Tag
    stat: Stat


class Twstat(NamedTuple):
    """Change attributes."""

    tag: Tag
    fid: Fid
    stat: Stat


class Rwstat(NamedTuple):
    """The attributes are changed."""

    tag: Tag


Request: TypeAlias = (
    Tstatfs
    | Tlopen
    | Tlcreate
    | Tsymlink
    | Tmknod
    | Trename
    | Treadlink
    | Tgetattr
    | Tsetattr
    | Txattrwalk
    | Txattrcreate
    | Treaddir
    | Tfsync
    | Tlock
    | Tgetlock
    | Tlink
    | Tmkdir
    | Trenameat
    | Tunlinkat
    | Tversion
    | Tauth
    | Tattach
    | Tflush
    | Twalk
    | Topen
    | Tcreate
    | Tread
    | Twrite
    | Tclunk
    | Tremove
    | Tstat
    | Twstat
)

Reply: TypeAlias = (
    Rlerror
    | Rstatfs
    | Rlopen
    | Rlcreate
    | Rsymlink
    | Rmknod
    | Rrename
    | Rreadlink
    | Rgetattr
    | Rsetattr
    | Rxattrwalk
    | Rxattrcreate
    | Rreaddir
    | Rfsync
    | Rlock
    | Rgetlock
    | Rlink
    | Rmkdir
    | Rrenameat
    | Runlinkat
    | Rversion
    | Rauth
    | Rattach
    | Rerror
    | Rflush
    | Rwalk
    | Ropen
    | Rcreate
    | Rread
    | Rwrite
    | Rclunk
    | Rremove
    | Rstat
    | Rwstat
)

Message: TypeAlias = Request | Reply

MESSAGE_TYPES: dict[int, type[Message]] = {
    7: Rlerror,
    8: Tstatfs,
    9: Rstatfs,
    12: Tlopen,
    13: Rlopen,
    14: Tlcreate,
    15: Rlcreate,
    16: Tsymlink,
    17: Rsymlink,
    18: Tmknod,
    19: Rmknod,
    20: Trename,
    21: Rrename,
    22: Treadlink,
    23: Rreadlink,
    24: Tgetattr,
    25: Rgetattr,
    26: Tsetattr,
    27: Rsetattr,
    30: Txattrwalk,
    31: Rxattrwalk,
    32: Txattrcreate,
    33: Rxattrcreate,
    40: Treaddir,
    41: Rreaddir,
    50: Tfsync,
    51: Rfsync,
    52: Tlock,
    53: Rlock,
    54: Tgetlock,
    55: Rgetlock,
    70: Tlink,
    71: Rlink,
    72: Tmkdir,
    73: Rmkdir,
    74: Trenameat,
    75: Rrenameat,
    76: Tunlinkat,
    77: Runlinkat,
    100: Tversion,
    101: Rversion,
    102: Tauth,
    103: Rauth,
    104: Tattach,
    105: Rattach,
    107: Rerror,
    108: Tflush,
    109: Rflush,
    110: Twalk,
    111: Rwalk,
    112: Topen,
    113: Ropen,
    114: Tcreate,
    115: Rcreate,
    116: Tread,
    117: Rread,
    118: Twrite,
    119: Rwrite,
    120: Tclunk,
    121: Rclunk,
    122: Tremove,
    123: Rremove,
    124: Tstat,
    125: Rstat,
    126: Twstat,
    127: Rwstat,
}
"""By type number."""

TYPE_NUMBERS: dict[type[Message], int] = {t: n for n, t in MESSAGE_TYPES.items()}
"""The type number of each class."""

REPLIES: dict[type[Request], type[Reply]] = {
    Tstatfs: Rstatfs,
    Tlopen: Rlopen,
    Tlcreate: Rlcreate,
    Tsymlink: Rsymlink,
    Tmknod: Rmknod,
    Trename: Rrename,
    Treadlink: Rreadlink,
    Tgetattr: Rgetattr,
    Tsetattr: Rsetattr,
    Txattrwalk: Rxattrwalk,
    Txattrcreate: Rxattrcreate,
    Treaddir: Rreaddir,
    Tfsync: Rfsync,
    Tlock: Rlock,
    Tgetlock: Rgetlock,
    Tlink: Rlink,
    Tmkdir: Rmkdir,
    Trenameat: Rrenameat,
    Tunlinkat: Runlinkat,
    Tversion: Rversion,
    Tauth: Rauth,
    Tattach: Rattach,
    Tflush: Rflush,
    Twalk: Rwalk,
    Topen: Ropen,
    Tcreate: Rcreate,
    Tread: Rread,
    Twrite: Rwrite,
    Tclunk: Rclunk,
    Tremove: Rremove,
    Tstat: Rstat,
    Twstat: Rwstat,
}
"""The reply to a request that succeeded."""

DOTL_REQUESTS: frozenset[type[Request]] = frozenset(
    {
        Tstatfs,
        Tlopen,
        Tlcreate,
        Tsymlink,
        Tmknod,
        Trename,
        Treadlink,
        Tgetattr,
        Tsetattr,
        Txattrwalk,
        Txattrcreate,
        Treaddir,
        Tfsync,
        Tlock,
        Tgetlock,
        Tlink,
        Tmkdir,
        Trenameat,
        Tunlinkat,
        Tversion,
        Tauth,
        Tattach,
        Tflush,
        Twalk,
        Tread,
        Twrite,
        Tclunk,
        Tremove,
    }
)

DOTU_REQUESTS: frozenset[type[Request]] = frozenset(
    {
        Tversion,
        Tauth,
        Tattach,
        Tflush,
        Twalk,
        Topen,
        Tcreate,
        Tread,
        Twrite,
        Tclunk,
        Tremove,
        Tstat,
        Twstat,
    }
)
