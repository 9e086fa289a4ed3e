"""The one definition of 9P2000.L and 9P2000.u: every message, in construct.

``messages.py`` and ``wire.py`` are generated from here (``tools/generate_codec.py``), and
``docs/protocol.md`` is drawn from here (``describe.py``).  Nothing in a worker imports this
module: interpreted construct is the reference that the generated codec is tested against.

Sources: diod ``protocol.md`` (9P2000.L), the 9P2000.u draft and Plan 9's manual section 5,
Linux ``include/net/9p/9p.h`` (numbers).  All integers are little-endian.  No type number means
different things in the two dialects, so one table by number serves both.
"""

from __future__ import annotations

from enum import Flag
from typing import TYPE_CHECKING, Final, NamedTuple

from construct import (
    Bytes,
    Construct,
    Error,
    ExprValidator,
    FocusedSeq,
    FormatField,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Prefixed,
    PrefixedArray,
    Renamed,
    Struct,
    Switch,
    Terminated,
    obj_,
    this,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAXWELEM: Final = 16
"""Most names in a Twalk, and qids in an Rwalk (walk(5); Linux P9_MAXWELEM)."""

# One object per meaning: the generator tells a fid from any other u32 by identity.
U8, U16, U32, U64 = Int8ul, Int16ul, Int32ul, Int64ul
TAG = FormatField("<", "H")
FID = FormatField("<", "L")
STRING = Prefixed(U16, GreedyBytes)

QID = Struct(
    "type" / U8 * "QTDIR, QTSYMLINK, ...: what kind of file",
    "version" / U32 * "changes when the file's content does; 0 where not kept",
    "path" / U64 * "the file's number, unique within the attached tree",
)

DIRENT = Struct(
    "qid" / QID,
    "offset" / U64 * "cookie: the offset of a Treaddir that goes on after this entry",
    "type" / U8 * "DT_DIR, DT_REG, ... of readdir(3)",
    "name" / STRING,
)

STAT_FIELDS = Struct(
    "type" / U16 * "for the server's kernel",
    "dev" / U32 * "for the server's kernel",
    "qid" / QID,
    "mode" / U32 * "permissions and DM bits",
    "atime" / U32 * "last access, seconds",
    "mtime" / U32 * "last change, seconds",
    "length" / U64 * "bytes",
    "name" / STRING * "last path element",
    "uid" / STRING * "owner",
    "gid" / STRING * "group",
    "muid" / STRING * "who changed it last",
    "extension" / STRING * "target of a link, or kind and numbers of a device",
    "n_uid" / U32 * "owner's number",
    "n_gid" / U32 * "group's number",
    "n_muid" / U32 * "number of who changed it last",
    Terminated,
)
STAT = Prefixed(U16, STAT_FIELDS)
STAT_COUNTED = Prefixed(U16, FocusedSeq("stat", "stat" / STAT, Terminated))

WNAMES = PrefixedArray(ExprValidator(U16, obj_ <= MAXWELEM), STRING)
WQIDS = PrefixedArray(ExprValidator(U16, obj_ <= MAXWELEM), QID)
PAYLOAD = Bytes(this.count)


class In(Flag):
    """The dialects that have a message."""

    DOTL = 1
    DOTU = 2
    BOTH = 3


class MessageSchema(NamedTuple):
    """One message: ``body`` is a construct Struct of what follows the tag."""

    number: int
    name: str
    dialects: In
    doc: str
    body: Construct


class Group(NamedTuple):
    """Messages that belong together in the documentation."""

    title: str
    messages: tuple[MessageSchema, ...]


class Member(NamedTuple):
    """One named field of a Struct: which of this module's constructs it is, and its remark."""

    name: str
    construct: Construct
    doc: str


def members(struct: Construct) -> Iterator[Member]:
    """The named fields of ``struct``, in wire order."""
    for member in struct.subcons:
        if member.name is None:  # Terminated
            continue
        inner = member
        while isinstance(inner, Renamed):
            inner = inner.subcon
        yield Member(member.name, inner, member.docs or "")


def _message(
    number: int, name: str, doc: str, *fields: Construct, only: In = In.BOTH
) -> MessageSchema:
    return MessageSchema(number, name, only, doc, Struct(*fields, Terminated))


_SESSION = Group(
    "Session",
    (
        _message(
            100,
            "Tversion",
            "Begin a session: every fid and request of an earlier one is forgotten.",
            "msize" / U32 * "longest message the client can take, with its size field",
            "version" / STRING * "the dialect asked for",
        ),
        _message(
            101,
            "Rversion",
            "What the session is to be.",
            "msize" / U32 * "not above the client's",
            "version" / STRING * "the dialect, or `unknown`",
        ),
        _message(
            102,
            "Tauth",
            "Open a fid to authenticate through.",
            "afid" / FID * "the fid to make",
            "uname" / STRING * "the user's name",
            "aname" / STRING * "the tree",
            "n_uname" / U32,
        ),
        _message(103, "Rauth", "The authentication fid's qid.", "aqid" / QID),
        _message(
            104,
            "Tattach",
            "Make fid the root of the tree aname for the user uname.",
            "fid" / FID,
            "afid" / FID * "NOFID: without authentication",
            "uname" / STRING * "the user's name",
            "aname" / STRING * "the tree",
            "n_uname" / U32 * "the user's number, NONUNAME if there is none",
        ),
        _message(105, "Rattach", "The root's qid.", "qid" / QID),
        _message(7, "Rlerror", "The request failed.", "ecode" / U32 * "Linux errno", only=In.DOTL),
        _message(
            107,
            "Rerror",
            "The request failed.",
            "ename" / STRING * "the reason in words",
            "errno" / U32 * "Linux errno",
            only=In.DOTU,
        ),
        _message(108, "Tflush", "Forget the request oldtag.", "oldtag" / TAG),
        _message(109, "Rflush", "oldtag will not be answered from now on."),
    ),
)

_FIDS = Group(
    "Finding files",
    (
        _message(
            110,
            "Twalk",
            "Go down from fid, one name after the other, and call the end newfid.",
            "fid" / FID,
            "newfid" / FID,
            "wnames" / WNAMES * "no name: newfid becomes a copy of fid",
        ),
        _message(
            111,
            "Rwalk",
            "The qids of the names that were found; fewer than asked: newfid was not made.",
            "wqids" / WQIDS * "one for each name that was found",
        ),
        _message(120, "Tclunk", "Forget fid.", "fid" / FID),
        _message(121, "Rclunk", "fid is free."),
        _message(122, "Tremove", "Remove the file, and forget fid in any case.", "fid" / FID),
        _message(123, "Rremove", "The file is removed."),
    ),
)

_DATA = Group(
    "Opening, reading, writing",
    (
        _message(
            12,
            "Tlopen",
            "Open fid.",
            "fid" / FID,
            "flags" / U32 * "DOTL_* open flags",
            only=In.DOTL,
        ),
        _message(
            13,
            "Rlopen",
            "fid is open.",
            "qid" / QID,
            "iounit" / U32 * "most bytes in one Tread or Twrite; 0: msize - 24",
            only=In.DOTL,
        ),
        _message(
            14,
            "Tlcreate",
            "Create a regular file in the directory fid; fid becomes that file, open.",
            "fid" / FID,
            "name" / STRING,
            "flags" / U32 * "DOTL_* open flags",
            "mode" / U32 * "permissions",
            "gid" / U32 * "the new file's group",
            only=In.DOTL,
        ),
        _message(
            15,
            "Rlcreate",
            "fid is the new file.",
            "qid" / QID,
            "iounit" / U32 * "as in Rlopen",
            only=In.DOTL,
        ),
        _message(
            112,
            "Topen",
            "Open fid.",
            "fid" / FID,
            "mode" / U8 * "OREAD, OWRITE, ORDWR, OEXEC, with OTRUNC and ORCLOSE",
            only=In.DOTU,
        ),
        _message(
            113, "Ropen", "fid is open.", "qid" / QID, "iounit" / U32 * "as in Rlopen", only=In.DOTU
        ),
        _message(
            114,
            "Tcreate",
            "Create a file of the kind perm says in the directory fid; fid becomes it, open.",
            "fid" / FID,
            "name" / STRING,
            "perm" / U32 * "permissions and DM bits",
            "mode" / U8 * "as in Topen",
            "extension" / STRING * "target of a link, or kind and numbers of a device",
            only=In.DOTU,
        ),
        _message(
            115,
            "Rcreate",
            "fid is the new file.",
            "qid" / QID,
            "iounit" / U32 * "as in Rlopen",
            only=In.DOTU,
        ),
        _message(
            116,
            "Tread",
            "Read from an open file; in 9P2000.u from a directory too.",
            "fid" / FID,
            "offset" / U64,
            "count" / U32 * "most bytes wanted",
        ),
        _message(
            117,
            "Rread",
            "The bytes; fewer than asked only at the end of the file.",
            "count" / U32,
            "data" / PAYLOAD,
        ),
        _message(
            118,
            "Twrite",
            "Write to an open file.",
            "fid" / FID,
            "offset" / U64,
            "count" / U32,
            "data" / PAYLOAD,
        ),
        _message(119, "Rwrite", "How much was written.", "count" / U32),
        _message(
            50,
            "Tfsync",
            "Have all data of fid on disk.",
            "fid" / FID,
            "datasync" / U32 * "not 0: fdatasync(2) is enough",
            only=In.DOTL,
        ),
        _message(51, "Rfsync", "The data is on disk.", only=In.DOTL),
    ),
)

_ATTRIBUTES = Group(
    "Attributes",
    (
        _message(
            24,
            "Tgetattr",
            "Read attributes.",
            "fid" / FID,
            "request_mask" / U64 * "GETATTR_* bits",
            only=In.DOTL,
        ),
        _message(
            25,
            "Rgetattr",
            "The attributes whose bits are set in valid; the others mean nothing.",
            "valid" / U64 * "GETATTR_* bits",
            "qid" / QID,
            "mode" / U32 * "st_mode: kind and permissions",
            "uid" / U32,
            "gid" / U32,
            "nlink" / U64,
            "rdev" / U64 * "of a device node: its numbers",
            "size" / U64 * "bytes",
            "blksize" / U64,
            "blocks" / U64 * "512 bytes each",
            "atime_sec" / U64,
            "atime_nsec" / U64,
            "mtime_sec" / U64,
            "mtime_nsec" / U64,
            "ctime_sec" / U64,
            "ctime_nsec" / U64,
            "btime_sec" / U64,
            "btime_nsec" / U64,
            "gen" / U64,
            "data_version" / U64,
            only=In.DOTL,
        ),
        _message(
            26,
            "Tsetattr",
            "Change the attributes whose bits are set in valid.",
            "fid" / FID,
            "valid" / U32 * "SETATTR_* bits",
            "mode" / U32,
            "uid" / U32,
            "gid" / U32,
            "size" / U64,
            "atime_sec" / U64,
            "atime_nsec" / U64,
            "mtime_sec" / U64,
            "mtime_nsec" / U64,
            only=In.DOTL,
        ),
        _message(27, "Rsetattr", "The attributes are changed.", only=In.DOTL),
        _message(124, "Tstat", "Read attributes.", "fid" / FID, only=In.DOTU),
        _message(125, "Rstat", "The attributes.", "stat" / STAT_COUNTED, only=In.DOTU),
        _message(
            126,
            "Twstat",
            "Change attributes.",
            "fid" / FID,
            "stat" / STAT_COUNTED * "all bits set, or an empty string: leave as it is",
            only=In.DOTU,
        ),
        _message(127, "Rwstat", "The attributes are changed.", only=In.DOTU),
        _message(8, "Tstatfs", "Ask about the file system.", "fid" / FID, only=In.DOTL),
        _message(
            9,
            "Rstatfs",
            "What statfs(2) says.",
            "type" / U32 * "file system's magic number",
            "bsize" / U32 * "bytes in a block",
            "blocks" / U64,
            "bfree" / U64,
            "bavail" / U64,
            "files" / U64,
            "ffree" / U64,
            "fsid" / U64,
            "namelen" / U32 * "longest name, bytes",
            only=In.DOTL,
        ),
        _message(
            30,
            "Txattrwalk",
            "Make newfid read the extended attribute name.",
            "fid" / FID,
            "newfid" / FID,
            "name" / STRING * "empty: the list of the names",
            only=In.DOTL,
        ),
        _message(
            31,
            "Rxattrwalk",
            "newfid can be read.",
            "size" / U64 * "bytes there are to read",
            only=In.DOTL,
        ),
        _message(
            32,
            "Txattrcreate",
            "Make fid take the extended attribute's value; it is set when fid is clunked.",
            "fid" / FID,
            "name" / STRING,
            "attr_size" / U64 * "bytes that will be written",
            "flags" / U32 * "XATTR_CREATE, XATTR_REPLACE",
            only=In.DOTL,
        ),
        _message(33, "Rxattrcreate", "fid can be written.", only=In.DOTL),
    ),
)

_DIRECTORIES = Group(
    "Directories and names",
    (
        _message(
            40,
            "Treaddir",
            "Read entries of an open directory.",
            "fid" / FID,
            "offset" / U64 * "0, or the offset of the last entry seen",
            "count" / U32 * "most bytes wanted",
            only=In.DOTL,
        ),
        _message(
            41,
            "Rreaddir",
            "Whole entries, one after the other; none: the directory is at its end.",
            "count" / U32,
            "data" / PAYLOAD * "directory entries",
            only=In.DOTL,
        ),
        _message(
            72,
            "Tmkdir",
            "Create a directory.",
            "dfid" / FID * "the directory",
            "name" / STRING,
            "mode" / U32,
            "gid" / U32 * "the new file's group",
            only=In.DOTL,
        ),
        _message(73, "Rmkdir", "The new directory.", "qid" / QID, only=In.DOTL),
        _message(
            16,
            "Tsymlink",
            "Create a symbolic link in the directory fid.",
            "fid" / FID,
            "name" / STRING,
            "symtgt" / STRING * "where it points",
            "gid" / U32 * "the new file's group",
            only=In.DOTL,
        ),
        _message(17, "Rsymlink", "The new link.", "qid" / QID, only=In.DOTL),
        _message(22, "Treadlink", "Read a symbolic link.", "fid" / FID, only=In.DOTL),
        _message(23, "Rreadlink", "Where it points.", "target" / STRING, only=In.DOTL),
        _message(
            18,
            "Tmknod",
            "Create a device node, FIFO or socket.",
            "dfid" / FID * "the directory",
            "name" / STRING,
            "mode" / U32 * "kind and permissions",
            "major" / U32,
            "minor" / U32,
            "gid" / U32 * "the new file's group",
            only=In.DOTL,
        ),
        _message(19, "Rmknod", "The new node.", "qid" / QID, only=In.DOTL),
        _message(
            70,
            "Tlink",
            "Give the file fid one more name, in the directory dfid.",
            "dfid" / FID * "the directory",
            "fid" / FID,
            "name" / STRING,
            only=In.DOTL,
        ),
        _message(71, "Rlink", "The link is made.", only=In.DOTL),
        _message(
            20,
            "Trename",
            "Move the file fid to name in the directory dfid.",
            "fid" / FID,
            "dfid" / FID * "the directory",
            "name" / STRING,
            only=In.DOTL,
        ),
        _message(21, "Rrename", "The file is moved.", only=In.DOTL),
        _message(
            74,
            "Trenameat",
            "Move a file by its name.",
            "olddirfid" / FID * "the directory it is in",
            "oldname" / STRING,
            "newdirfid" / FID * "the directory it goes to",
            "newname" / STRING,
            only=In.DOTL,
        ),
        _message(75, "Rrenameat", "The file is moved.", only=In.DOTL),
        _message(
            76,
            "Tunlinkat",
            "Remove a file by its name.",
            "dirfid" / FID * "the directory",
            "name" / STRING,
            "flags" / U32 * "AT_REMOVEDIR: a directory",
            only=In.DOTL,
        ),
        _message(77, "Runlinkat", "The file is removed.", only=In.DOTL),
    ),
)

_LOCKS = Group(
    "Locks",
    (
        _message(
            52,
            "Tlock",
            "Take or drop a POSIX record lock.",
            "fid" / FID,
            "type" / U8 * "LOCK_TYPE_*",
            "flags" / U32 * "LOCK_FLAGS_*",
            "start" / U64,
            "length" / U64 * "0: to the end of the file",
            "proc_id" / U32 * "the client's process",
            "client_id" / STRING * "the client's host name",
            only=In.DOTL,
        ),
        _message(
            53,
            "Rlock",
            "How it went.",
            "status" / U8 * "LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR, LOCK_GRACE",
            only=In.DOTL,
        ),
        _message(
            54,
            "Tgetlock",
            "Ask who holds a lock in the way of this one.",
            "fid" / FID,
            "type" / U8 * "LOCK_TYPE_*",
            "start" / U64,
            "length" / U64 * "0: to the end of the file",
            "proc_id" / U32 * "the client's process",
            "client_id" / STRING * "the client's host name",
            only=In.DOTL,
        ),
        _message(
            55,
            "Rgetlock",
            "The lock in the way, or LOCK_TYPE_UNLCK.",
            "type" / U8 * "LOCK_TYPE_*",
            "start" / U64,
            "length" / U64,
            "proc_id" / U32 * "the client's process",
            "client_id" / STRING * "the client's host name",
            only=In.DOTL,
        ),
    ),
)

GROUPS: Final = (_SESSION, _FIDS, _DATA, _ATTRIBUTES, _DIRECTORIES, _LOCKS)

MESSAGES: Final = tuple(
    sorted((message for group in GROUPS for message in group.messages), key=lambda m: m.number)
)

FRAME: Final = FocusedSeq(
    "message",
    "message"
    / Prefixed(
        U32,
        Struct(
            "type" / U8,
            "tag" / TAG,
            "fields"
            / Switch(
                this.type, {message.number: message.body for message in MESSAGES}, default=Error
            ),
        ),
        includelength=True,
    ),
    Terminated,
)
"""A whole message: ``size[4] type[1] tag[2]`` and the fields; its size counts itself."""
