"""Packs and unpacks each message; ``codec.py`` is the way in.

GENERATED from schema.py by tools/generate_codec.py: do not edit.

Why a decoder cannot be fooled by a length: ``at`` only grows by lengths the frame gave, a slice
past the end is merely short, but then ``unpack_from`` raises ``struct.error`` (which codec.py
turns into ``ProtocolError``) or the last check finds that ``at`` is not the end.

``head`` is the whole frame (or, with a payload, at least what lies before it) and ``total`` the
size that the frame declared.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from protocol.ninep import messages as m
from protocol.ninep.errors import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_new: Any = tuple.__new__
"""Makes a NamedTuple of a tuple that has the right length by construction."""

_BIQ = Struct("<BIQ")
_BODY_H = Struct("<5xH")
_BODY_HB = Struct("<5xHB")
_BODY_HBIQ = Struct("<5xHBIQ")
_BODY_HBIQI = Struct("<5xHBIQI")
_BODY_HBQQIH = Struct("<5xHBQQIH")
_BODY_HH = Struct("<5xHH")
_BODY_HI = Struct("<5xHI")
_BODY_HIB = Struct("<5xHIB")
_BODY_HIBIQQIH = Struct("<5xHIBIQQIH")
_BODY_HIBQQIH = Struct("<5xHIBQQIH")
_BODY_HIH = Struct("<5xHIH")
_BODY_HII = Struct("<5xHII")
_BODY_HIIH = Struct("<5xHIIH")
_BODY_HIIIIIQQQQQ = Struct("<5xHIIIIIQQQQQ")
_BODY_HIIQQQQQQI = Struct("<5xHIIQQQQQQI")
_BODY_HIQ = Struct("<5xHIQ")
_BODY_HIQI = Struct("<5xHIQI")
_BODY_HQ = Struct("<5xHQ")
_BODY_HQBIQIIIQQQQQQQQQQQQQQQ = Struct("<5xHQBIQIIIQQQQQQQQQQQQQQQ")
_H = Struct("<H")
_HHIBIQIIIQH = Struct("<HHIBIQIIIQH")
_I = Struct("<I")
_IBH = Struct("<IBH")
_IBHB = Struct("<IBHB")
_IBHBIQ = Struct("<IBHBIQ")
_IBHBIQI = Struct("<IBHBIQI")
_IBHBQQIH = Struct("<IBHBQQIH")
_IBHH = Struct("<IBHH")
_IBHI = Struct("<IBHI")
_IBHIB = Struct("<IBHIB")
_IBHIBIQQIH = Struct("<IBHIBIQQIH")
_IBHIBQQIH = Struct("<IBHIBQQIH")
_IBHIH = Struct("<IBHIH")
_IBHII = Struct("<IBHII")
_IBHIIH = Struct("<IBHIIH")
_IBHIIIIIQQQQQ = Struct("<IBHIIIIIQQQQQ")
_IBHIIQQQQQQI = Struct("<IBHIIQQQQQQI")
_IBHIQ = Struct("<IBHIQ")
_IBHIQI = Struct("<IBHIQI")
_IBHQ = Struct("<IBHQ")
_IBHQBIQIIIQQQQQQQQQQQQQQQ = Struct("<IBHQBIQIIIQQQQQQQQQQQQQQQ")
_IH = Struct("<IH")
_II = Struct("<II")
_III = Struct("<III")
_IIII = Struct("<IIII")
_QI = Struct("<QI")


def read_stat(head: bytes, at: int) -> tuple[m.Stat, int]:
    """The Stat at ``at`` and where it ends; ``struct.error`` if cut short."""
    start = at + 2
    (
        size,
        type_,
        dev,
        qid_type,
        qid_version,
        qid_path,
        mode,
        atime,
        mtime,
        length,
        n,
    ) = _HHIBIQIIIQH.unpack_from(head, at)
    at += 43 + n
    name = head[at - n : at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    uid = head[at - n : at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    gid = head[at - n : at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    muid = head[at - n : at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    extension = head[at - n : at]
    n_uid, n_gid, n_muid = _III.unpack_from(head, at)
    if size != at + 12 - start:
        raise malformed(head, "Stat: wrong size")
    values = (
        type_,
        dev,
        _new(m.Qid, (qid_type, qid_version, qid_path)),
        mode,
        atime,
        mtime,
        length,
        name,
        uid,
        gid,
        muid,
        extension,
        n_uid,
        n_gid,
        n_muid,
    )
    record: m.Stat = _new(m.Stat, values)
    return record, at + 12


def pack_stat(record: m.Stat) -> bytes:
    """The Stat with its size before it; ``struct.error`` if out of range."""
    (
        type_,
        dev,
        qid,
        mode,
        atime,
        mtime,
        length,
        name,
        uid,
        gid,
        muid,
        extension,
        n_uid,
        n_gid,
        n_muid,
    ) = record
    qid_type, qid_version, qid_path = qid
    size = sum((61, len(name), len(uid), len(gid), len(muid), len(extension)))
    return b"".join(
        (
            _HHIBIQIIIQH.pack(
                size,
                type_,
                dev,
                qid_type,
                qid_version,
                qid_path,
                mode,
                atime,
                mtime,
                length,
                len(name),
            ),
            name,
            _H.pack(len(uid)),
            uid,
            _H.pack(len(gid)),
            gid,
            _H.pack(len(muid)),
            muid,
            _H.pack(len(extension)),
            extension,
            _III.pack(n_uid, n_gid, n_muid),
        )
    )


def _decode_rlerror(head: bytes, total: int) -> m.Rlerror:
    message: m.Rlerror = _new(m.Rlerror, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Rlerror: wrong length")
    return message


def _decode_tstatfs(head: bytes, total: int) -> m.Tstatfs:
    message: m.Tstatfs = _new(m.Tstatfs, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Tstatfs: wrong length")
    return message


def _decode_rstatfs(head: bytes, total: int) -> m.Rstatfs:
    message: m.Rstatfs = _new(m.Rstatfs, _BODY_HIIQQQQQQI.unpack(head))
    if total != 67:
        raise malformed(head, "Rstatfs: wrong length")
    return message


def _decode_tlopen(head: bytes, total: int) -> m.Tlopen:
    message: m.Tlopen = _new(m.Tlopen, _BODY_HII.unpack(head))
    if total != 15:
        raise malformed(head, "Tlopen: wrong length")
    return message


def _decode_rlopen(head: bytes, total: int) -> m.Rlopen:
    tag, qid_type, qid_version, qid_path, iounit = _BODY_HBIQI.unpack(head)
    values = (tag, _new(m.Qid, (qid_type, qid_version, qid_path)), iounit)
    message: m.Rlopen = _new(m.Rlopen, values)
    if total != 24:
        raise malformed(head, "Rlopen: wrong length")
    return message


def _decode_tlcreate(head: bytes, total: int) -> m.Tlcreate:
    tag, fid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    flags, mode, gid = _III.unpack_from(head, at)
    if at + 12 != total or total != len(head):
        raise malformed(head, "Tlcreate: wrong length")
    message: m.Tlcreate = _new(m.Tlcreate, (tag, fid, name, flags, mode, gid))
    return message


def _decode_rlcreate(head: bytes, total: int) -> m.Rlcreate:
    tag, qid_type, qid_version, qid_path, iounit = _BODY_HBIQI.unpack(head)
    values = (tag, _new(m.Qid, (qid_type, qid_version, qid_path)), iounit)
    message: m.Rlcreate = _new(m.Rlcreate, values)
    if total != 24:
        raise malformed(head, "Rlcreate: wrong length")
    return message


def _decode_tsymlink(head: bytes, total: int) -> m.Tsymlink:
    tag, fid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    symtgt = head[at - n : at]
    (gid,) = _I.unpack_from(head, at)
    if at + 4 != total or total != len(head):
        raise malformed(head, "Tsymlink: wrong length")
    message: m.Tsymlink = _new(m.Tsymlink, (tag, fid, name, symtgt, gid))
    return message


def _decode_rsymlink(head: bytes, total: int) -> m.Rsymlink:
    tag, qid_type, qid_version, qid_path = _BODY_HBIQ.unpack(head)
    message: m.Rsymlink = _new(m.Rsymlink, (tag, _new(m.Qid, (qid_type, qid_version, qid_path))))
    if total != 20:
        raise malformed(head, "Rsymlink: wrong length")
    return message


def _decode_tmknod(head: bytes, total: int) -> m.Tmknod:
    tag, dfid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    mode, major, minor, gid = _IIII.unpack_from(head, at)
    if at + 16 != total or total != len(head):
        raise malformed(head, "Tmknod: wrong length")
    message: m.Tmknod = _new(m.Tmknod, (tag, dfid, name, mode, major, minor, gid))
    return message


def _decode_rmknod(head: bytes, total: int) -> m.Rmknod:
    tag, qid_type, qid_version, qid_path = _BODY_HBIQ.unpack(head)
    message: m.Rmknod = _new(m.Rmknod, (tag, _new(m.Qid, (qid_type, qid_version, qid_path))))
    if total != 20:
        raise malformed(head, "Rmknod: wrong length")
    return message


def _decode_trename(head: bytes, total: int) -> m.Trename:
    tag, fid, dfid, n = _BODY_HIIH.unpack_from(head)
    at = 17 + n
    name = head[17:at]
    if at != total or total != len(head):
        raise malformed(head, "Trename: wrong length")
    message: m.Trename = _new(m.Trename, (tag, fid, dfid, name))
    return message


def _decode_rrename(head: bytes, total: int) -> m.Rrename:
    message: m.Rrename = _new(m.Rrename, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rrename: wrong length")
    return message


def _decode_treadlink(head: bytes, total: int) -> m.Treadlink:
    message: m.Treadlink = _new(m.Treadlink, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Treadlink: wrong length")
    return message


def _decode_rreadlink(head: bytes, total: int) -> m.Rreadlink:
    tag, n = _BODY_HH.unpack_from(head)
    at = 9 + n
    target = head[9:at]
    if at != total or total != len(head):
        raise malformed(head, "Rreadlink: wrong length")
    message: m.Rreadlink = _new(m.Rreadlink, (tag, target))
    return message


def _decode_tgetattr(head: bytes, total: int) -> m.Tgetattr:
    message: m.Tgetattr = _new(m.Tgetattr, _BODY_HIQ.unpack(head))
    if total != 19:
        raise malformed(head, "Tgetattr: wrong length")
    return message


def _decode_rgetattr(head: bytes, total: int) -> m.Rgetattr:
    (
        tag,
        valid,
        qid_type,
        qid_version,
        qid_path,
        mode,
        uid,
        gid,
        nlink,
        rdev,
        size,
        blksize,
        blocks,
        atime_sec,
        atime_nsec,
        mtime_sec,
        mtime_nsec,
        ctime_sec,
        ctime_nsec,
        btime_sec,
        btime_nsec,
        gen,
        data_version,
    ) = _BODY_HQBIQIIIQQQQQQQQQQQQQQQ.unpack(head)
    values = (
        tag,
        valid,
        _new(m.Qid, (qid_type, qid_version, qid_path)),
        mode,
        uid,
        gid,
        nlink,
        rdev,
        size,
        blksize,
        blocks,
        atime_sec,
        atime_nsec,
        mtime_sec,
        mtime_nsec,
        ctime_sec,
        ctime_nsec,
        btime_sec,
        btime_nsec,
        gen,
        data_version,
    )
    message: m.Rgetattr = _new(m.Rgetattr, values)
    if total != 160:
        raise malformed(head, "Rgetattr: wrong length")
    return message


def _decode_tsetattr(head: bytes, total: int) -> m.Tsetattr:
    message: m.Tsetattr = _new(m.Tsetattr, _BODY_HIIIIIQQQQQ.unpack(head))
    if total != 67:
        raise malformed(head, "Tsetattr: wrong length")
    return message


def _decode_rsetattr(head: bytes, total: int) -> m.Rsetattr:
    message: m.Rsetattr = _new(m.Rsetattr, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rsetattr: wrong length")
    return message


def _decode_txattrwalk(head: bytes, total: int) -> m.Txattrwalk:
    tag, fid, newfid, n = _BODY_HIIH.unpack_from(head)
    at = 17 + n
    name = head[17:at]
    if at != total or total != len(head):
        raise malformed(head, "Txattrwalk: wrong length")
    message: m.Txattrwalk = _new(m.Txattrwalk, (tag, fid, newfid, name))
    return message


def _decode_rxattrwalk(head: bytes, total: int) -> m.Rxattrwalk:
    message: m.Rxattrwalk = _new(m.Rxattrwalk, _BODY_HQ.unpack(head))
    if total != 15:
        raise malformed(head, "Rxattrwalk: wrong length")
    return message


def _decode_txattrcreate(head: bytes, total: int) -> m.Txattrcreate:
    tag, fid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    attr_size, flags = _QI.unpack_from(head, at)
    if at + 12 != total or total != len(head):
        raise malformed(head, "Txattrcreate: wrong length")
    message: m.Txattrcreate = _new(m.Txattrcreate, (tag, fid, name, attr_size, flags))
    return message


def _decode_rxattrcreate(head: bytes, total: int) -> m.Rxattrcreate:
    message: m.Rxattrcreate = _new(m.Rxattrcreate, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rxattrcreate: wrong length")
    return message


def _decode_treaddir(head: bytes, total: int) -> m.Treaddir:
    message: m.Treaddir = _new(m.Treaddir, _BODY_HIQI.unpack(head))
    if total != 23:
        raise malformed(head, "Treaddir: wrong length")
    return message


def _decode_rreaddir(head: bytes, total: int) -> m.Rreaddir:
    message: m.Rreaddir = _new(m.Rreaddir, _BODY_HI.unpack_from(head))
    if total != 11 + message.count:
        raise malformed(head, "Rreaddir: wrong length")
    return message


def _decode_tfsync(head: bytes, total: int) -> m.Tfsync:
    message: m.Tfsync = _new(m.Tfsync, _BODY_HII.unpack(head))
    if total != 15:
        raise malformed(head, "Tfsync: wrong length")
    return message


def _decode_rfsync(head: bytes, total: int) -> m.Rfsync:
    message: m.Rfsync = _new(m.Rfsync, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rfsync: wrong length")
    return message


def _decode_tlock(head: bytes, total: int) -> m.Tlock:
    tag, fid, type_, flags, start, length, proc_id, n = _BODY_HIBIQQIH.unpack_from(head)
    at = 38 + n
    client_id = head[38:at]
    if at != total or total != len(head):
        raise malformed(head, "Tlock: wrong length")
    message: m.Tlock = _new(m.Tlock, (tag, fid, type_, flags, start, length, proc_id, client_id))
    return message


def _decode_rlock(head: bytes, total: int) -> m.Rlock:
    message: m.Rlock = _new(m.Rlock, _BODY_HB.unpack(head))
    if total != 8:
        raise malformed(head, "Rlock: wrong length")
    return message


def _decode_tgetlock(head: bytes, total: int) -> m.Tgetlock:
    tag, fid, type_, start, length, proc_id, n = _BODY_HIBQQIH.unpack_from(head)
    at = 34 + n
    client_id = head[34:at]
    if at != total or total != len(head):
        raise malformed(head, "Tgetlock: wrong length")
    message: m.Tgetlock = _new(m.Tgetlock, (tag, fid, type_, start, length, proc_id, client_id))
    return message


def _decode_rgetlock(head: bytes, total: int) -> m.Rgetlock:
    tag, type_, start, length, proc_id, n = _BODY_HBQQIH.unpack_from(head)
    at = 30 + n
    client_id = head[30:at]
    if at != total or total != len(head):
        raise malformed(head, "Rgetlock: wrong length")
    message: m.Rgetlock = _new(m.Rgetlock, (tag, type_, start, length, proc_id, client_id))
    return message


def _decode_tlink(head: bytes, total: int) -> m.Tlink:
    tag, dfid, fid, n = _BODY_HIIH.unpack_from(head)
    at = 17 + n
    name = head[17:at]
    if at != total or total != len(head):
        raise malformed(head, "Tlink: wrong length")
    message: m.Tlink = _new(m.Tlink, (tag, dfid, fid, name))
    return message


def _decode_rlink(head: bytes, total: int) -> m.Rlink:
    message: m.Rlink = _new(m.Rlink, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rlink: wrong length")
    return message


def _decode_tmkdir(head: bytes, total: int) -> m.Tmkdir:
    tag, dfid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    mode, gid = _II.unpack_from(head, at)
    if at + 8 != total or total != len(head):
        raise malformed(head, "Tmkdir: wrong length")
    message: m.Tmkdir = _new(m.Tmkdir, (tag, dfid, name, mode, gid))
    return message


def _decode_rmkdir(head: bytes, total: int) -> m.Rmkdir:
    tag, qid_type, qid_version, qid_path = _BODY_HBIQ.unpack(head)
    message: m.Rmkdir = _new(m.Rmkdir, (tag, _new(m.Qid, (qid_type, qid_version, qid_path))))
    if total != 20:
        raise malformed(head, "Rmkdir: wrong length")
    return message


def _decode_trenameat(head: bytes, total: int) -> m.Trenameat:
    tag, olddirfid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    oldname = head[13:at]
    newdirfid, n = _IH.unpack_from(head, at)
    at += 6 + n
    newname = head[at - n : at]
    if at != total or total != len(head):
        raise malformed(head, "Trenameat: wrong length")
    message: m.Trenameat = _new(m.Trenameat, (tag, olddirfid, oldname, newdirfid, newname))
    return message


def _decode_rrenameat(head: bytes, total: int) -> m.Rrenameat:
    message: m.Rrenameat = _new(m.Rrenameat, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rrenameat: wrong length")
    return message


def _decode_tunlinkat(head: bytes, total: int) -> m.Tunlinkat:
    tag, dirfid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    (flags,) = _I.unpack_from(head, at)
    if at + 4 != total or total != len(head):
        raise malformed(head, "Tunlinkat: wrong length")
    message: m.Tunlinkat = _new(m.Tunlinkat, (tag, dirfid, name, flags))
    return message


def _decode_runlinkat(head: bytes, total: int) -> m.Runlinkat:
    message: m.Runlinkat = _new(m.Runlinkat, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Runlinkat: wrong length")
    return message


def _decode_tversion(head: bytes, total: int) -> m.Tversion:
    tag, msize, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    version = head[13:at]
    if at != total or total != len(head):
        raise malformed(head, "Tversion: wrong length")
    message: m.Tversion = _new(m.Tversion, (tag, msize, version))
    return message


def _decode_rversion(head: bytes, total: int) -> m.Rversion:
    tag, msize, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    version = head[13:at]
    if at != total or total != len(head):
        raise malformed(head, "Rversion: wrong length")
    message: m.Rversion = _new(m.Rversion, (tag, msize, version))
    return message


def _decode_tauth(head: bytes, total: int) -> m.Tauth:
    tag, afid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    uname = head[13:at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    aname = head[at - n : at]
    (n_uname,) = _I.unpack_from(head, at)
    if at + 4 != total or total != len(head):
        raise malformed(head, "Tauth: wrong length")
    message: m.Tauth = _new(m.Tauth, (tag, afid, uname, aname, n_uname))
    return message


def _decode_rauth(head: bytes, total: int) -> m.Rauth:
    tag, aqid_type, aqid_version, aqid_path = _BODY_HBIQ.unpack(head)
    message: m.Rauth = _new(m.Rauth, (tag, _new(m.Qid, (aqid_type, aqid_version, aqid_path))))
    if total != 20:
        raise malformed(head, "Rauth: wrong length")
    return message


def _decode_tattach(head: bytes, total: int) -> m.Tattach:
    tag, fid, afid, n = _BODY_HIIH.unpack_from(head)
    at = 17 + n
    uname = head[17:at]
    (n,) = _H.unpack_from(head, at)
    at += 2 + n
    aname = head[at - n : at]
    (n_uname,) = _I.unpack_from(head, at)
    if at + 4 != total or total != len(head):
        raise malformed(head, "Tattach: wrong length")
    message: m.Tattach = _new(m.Tattach, (tag, fid, afid, uname, aname, n_uname))
    return message


def _decode_rattach(head: bytes, total: int) -> m.Rattach:
    tag, qid_type, qid_version, qid_path = _BODY_HBIQ.unpack(head)
    message: m.Rattach = _new(m.Rattach, (tag, _new(m.Qid, (qid_type, qid_version, qid_path))))
    if total != 20:
        raise malformed(head, "Rattach: wrong length")
    return message


def _decode_rerror(head: bytes, total: int) -> m.Rerror:
    tag, n = _BODY_HH.unpack_from(head)
    at = 9 + n
    ename = head[9:at]
    (errno,) = _I.unpack_from(head, at)
    if at + 4 != total or total != len(head):
        raise malformed(head, "Rerror: wrong length")
    message: m.Rerror = _new(m.Rerror, (tag, ename, errno))
    return message


def _decode_tflush(head: bytes, total: int) -> m.Tflush:
    message: m.Tflush = _new(m.Tflush, _BODY_HH.unpack(head))
    if total != 9:
        raise malformed(head, "Tflush: wrong length")
    return message


def _decode_rflush(head: bytes, total: int) -> m.Rflush:
    message: m.Rflush = _new(m.Rflush, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rflush: wrong length")
    return message


def _decode_twalk(head: bytes, total: int) -> m.Twalk:
    tag, fid, newfid, n = _BODY_HIIH.unpack_from(head)
    if n > 16:
        raise malformed(head, f"Twalk: {n} wnames, at most 16")
    at = 17
    strings = []
    for _ in range(n):
        (n,) = _H.unpack_from(head, at)
        at += n + 2
        strings.append(head[at - n : at])
    wnames = tuple(strings)
    if at != total or total != len(head):
        raise malformed(head, "Twalk: wrong length")
    message: m.Twalk = _new(m.Twalk, (tag, fid, newfid, wnames))
    return message


def _decode_rwalk(head: bytes, total: int) -> m.Rwalk:
    tag, n = _BODY_HH.unpack_from(head)
    if n > 16:
        raise malformed(head, f"Rwalk: {n} wqids, at most 16")
    at = 9 + 13 * n
    records = _BIQ.iter_unpack(head[9:at])
    wqids = tuple([_new(m.Qid, r) for r in records])
    if at != total or total != len(head):
        raise malformed(head, "Rwalk: wrong length")
    message: m.Rwalk = _new(m.Rwalk, (tag, wqids))
    return message


def _decode_topen(head: bytes, total: int) -> m.Topen:
    message: m.Topen = _new(m.Topen, _BODY_HIB.unpack(head))
    if total != 12:
        raise malformed(head, "Topen: wrong length")
    return message


def _decode_ropen(head: bytes, total: int) -> m.Ropen:
    tag, qid_type, qid_version, qid_path, iounit = _BODY_HBIQI.unpack(head)
    message: m.Ropen = _new(m.Ropen, (tag, _new(m.Qid, (qid_type, qid_version, qid_path)), iounit))
    if total != 24:
        raise malformed(head, "Ropen: wrong length")
    return message


def _decode_tcreate(head: bytes, total: int) -> m.Tcreate:
    tag, fid, n = _BODY_HIH.unpack_from(head)
    at = 13 + n
    name = head[13:at]
    perm, mode, n = _IBH.unpack_from(head, at)
    at += 7 + n
    extension = head[at - n : at]
    if at != total or total != len(head):
        raise malformed(head, "Tcreate: wrong length")
    message: m.Tcreate = _new(m.Tcreate, (tag, fid, name, perm, mode, extension))
    return message


def _decode_rcreate(head: bytes, total: int) -> m.Rcreate:
    tag, qid_type, qid_version, qid_path, iounit = _BODY_HBIQI.unpack(head)
    values = (tag, _new(m.Qid, (qid_type, qid_version, qid_path)), iounit)
    message: m.Rcreate = _new(m.Rcreate, values)
    if total != 24:
        raise malformed(head, "Rcreate: wrong length")
    return message


def _decode_tread(head: bytes, total: int) -> m.Tread:
    message: m.Tread = _new(m.Tread, _BODY_HIQI.unpack(head))
    if total != 23:
        raise malformed(head, "Tread: wrong length")
    return message


def _decode_rread(head: bytes, total: int) -> m.Rread:
    message: m.Rread = _new(m.Rread, _BODY_HI.unpack_from(head))
    if total != 11 + message.count:
        raise malformed(head, "Rread: wrong length")
    return message


def _decode_twrite(head: bytes, total: int) -> m.Twrite:
    message: m.Twrite = _new(m.Twrite, _BODY_HIQI.unpack_from(head))
    if total != 23 + message.count:
        raise malformed(head, "Twrite: wrong length")
    return message


def _decode_rwrite(head: bytes, total: int) -> m.Rwrite:
    message: m.Rwrite = _new(m.Rwrite, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Rwrite: wrong length")
    return message


def _decode_tclunk(head: bytes, total: int) -> m.Tclunk:
    message: m.Tclunk = _new(m.Tclunk, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Tclunk: wrong length")
    return message


def _decode_rclunk(head: bytes, total: int) -> m.Rclunk:
    message: m.Rclunk = _new(m.Rclunk, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rclunk: wrong length")
    return message


def _decode_tremove(head: bytes, total: int) -> m.Tremove:
    message: m.Tremove = _new(m.Tremove, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Tremove: wrong length")
    return message


def _decode_rremove(head: bytes, total: int) -> m.Rremove:
    message: m.Rremove = _new(m.Rremove, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rremove: wrong length")
    return message


def _decode_tstat(head: bytes, total: int) -> m.Tstat:
    message: m.Tstat = _new(m.Tstat, _BODY_HI.unpack(head))
    if total != 11:
        raise malformed(head, "Tstat: wrong length")
    return message


def _decode_rstat(head: bytes, total: int) -> m.Rstat:
    tag, n = _BODY_HH.unpack_from(head)
    stat, at = read_stat(head, 9)
    if n != at - 9:
        raise malformed(head, "Rstat: wrong length of stat")
    if at != total or total != len(head):
        raise malformed(head, "Rstat: wrong length")
    message: m.Rstat = _new(m.Rstat, (tag, stat))
    return message


def _decode_twstat(head: bytes, total: int) -> m.Twstat:
    tag, fid, n = _BODY_HIH.unpack_from(head)
    stat, at = read_stat(head, 13)
    if n != at - 13:
        raise malformed(head, "Twstat: wrong length of stat")
    if at != total or total != len(head):
        raise malformed(head, "Twstat: wrong length")
    message: m.Twstat = _new(m.Twstat, (tag, fid, stat))
    return message


def _decode_rwstat(head: bytes, total: int) -> m.Rwstat:
    message: m.Rwstat = _new(m.Rwstat, _BODY_H.unpack(head))
    if total != 7:
        raise malformed(head, "Rwstat: wrong length")
    return message


def _encode_rlerror(message: m.Rlerror) -> bytes:
    return _IBHI.pack(11, 7, *message)


def _encode_tstatfs(message: m.Tstatfs) -> bytes:
    return _IBHI.pack(11, 8, *message)


def _encode_rstatfs(message: m.Rstatfs) -> bytes:
    return _IBHIIQQQQQQI.pack(67, 9, *message)


def _encode_tlopen(message: m.Tlopen) -> bytes:
    return _IBHII.pack(15, 12, *message)


def _encode_rlopen(message: m.Rlopen) -> bytes:
    tag, qid, iounit = message
    qid_type, qid_version, qid_path = qid
    total = 24
    return _IBHBIQI.pack(total, 13, tag, qid_type, qid_version, qid_path, iounit)


def _encode_tlcreate(message: m.Tlcreate) -> bytes:
    tag, fid, name, flags, mode, gid = message
    total = 25 + len(name)
    return b"".join(
        (
            _IBHIH.pack(total, 14, tag, fid, len(name)),
            name,
            _III.pack(flags, mode, gid),
        )
    )


def _encode_rlcreate(message: m.Rlcreate) -> bytes:
    tag, qid, iounit = message
    qid_type, qid_version, qid_path = qid
    total = 24
    return _IBHBIQI.pack(total, 15, tag, qid_type, qid_version, qid_path, iounit)


def _encode_tsymlink(message: m.Tsymlink) -> bytes:
    tag, fid, name, symtgt, gid = message
    total = 19 + len(name) + len(symtgt)
    return b"".join(
        (
            _IBHIH.pack(total, 16, tag, fid, len(name)),
            name,
            _H.pack(len(symtgt)),
            symtgt,
            _I.pack(gid),
        )
    )


def _encode_rsymlink(message: m.Rsymlink) -> bytes:
    tag, qid = message
    qid_type, qid_version, qid_path = qid
    total = 20
    return _IBHBIQ.pack(total, 17, tag, qid_type, qid_version, qid_path)


def _encode_tmknod(message: m.Tmknod) -> bytes:
    tag, dfid, name, mode, major, minor, gid = message
    total = 29 + len(name)
    return b"".join(
        (
            _IBHIH.pack(total, 18, tag, dfid, len(name)),
            name,
            _IIII.pack(mode, major, minor, gid),
        )
    )


def _encode_rmknod(message: m.Rmknod) -> bytes:
    tag, qid = message
    qid_type, qid_version, qid_path = qid
    total = 20
    return _IBHBIQ.pack(total, 19, tag, qid_type, qid_version, qid_path)


def _encode_trename(message: m.Trename) -> bytes:
    tag, fid, dfid, name = message
    total = 17 + len(name)
    return b"".join((_IBHIIH.pack(total, 20, tag, fid, dfid, len(name)), name))


def _encode_rrename(message: m.Rrename) -> bytes:
    return _IBH.pack(7, 21, *message)


def _encode_treadlink(message: m.Treadlink) -> bytes:
    return _IBHI.pack(11, 22, *message)


def _encode_rreadlink(message: m.Rreadlink) -> bytes:
    tag, target = message
    total = 9 + len(target)
    return b"".join((_IBHH.pack(total, 23, tag, len(target)), target))


def _encode_tgetattr(message: m.Tgetattr) -> bytes:
    return _IBHIQ.pack(19, 24, *message)


def _encode_rgetattr(message: m.Rgetattr) -> bytes:
    (
        tag,
        valid,
        qid,
        mode,
        uid,
        gid,
        nlink,
        rdev,
        size,
        blksize,
        blocks,
        atime_sec,
        atime_nsec,
        mtime_sec,
        mtime_nsec,
        ctime_sec,
        ctime_nsec,
        btime_sec,
        btime_nsec,
        gen,
        data_version,
    ) = message
    qid_type, qid_version, qid_path = qid
    total = 160
    return _IBHQBIQIIIQQQQQQQQQQQQQQQ.pack(
        total,
        25,
        tag,
        valid,
        qid_type,
        qid_version,
        qid_path,
        mode,
        uid,
        gid,
        nlink,
        rdev,
        size,
        blksize,
        blocks,
        atime_sec,
        atime_nsec,
        mtime_sec,
        mtime_nsec,
        ctime_sec,
        ctime_nsec,
        btime_sec,
        btime_nsec,
        gen,
        data_version,
    )


def _encode_tsetattr(message: m.Tsetattr) -> bytes:
    return _IBHIIIIIQQQQQ.pack(67, 26, *message)


def _encode_rsetattr(message: m.Rsetattr) -> bytes:
    return _IBH.pack(7, 27, *message)


def _encode_txattrwalk(message: m.Txattrwalk) -> bytes:
    tag, fid, newfid, name = message
    total = 17 + len(name)
    return b"".join((_IBHIIH.pack(total, 30, tag, fid, newfid, len(name)), name))


def _encode_rxattrwalk(message: m.Rxattrwalk) -> bytes:
    return _IBHQ.pack(15, 31, *message)


def _encode_txattrcreate(message: m.Txattrcreate) -> bytes:
    tag, fid, name, attr_size, flags = message
    total = 25 + len(name)
    return b"".join((_IBHIH.pack(total, 32, tag, fid, len(name)), name, _QI.pack(attr_size, flags)))


def _encode_rxattrcreate(message: m.Rxattrcreate) -> bytes:
    return _IBH.pack(7, 33, *message)


def _encode_treaddir(message: m.Treaddir) -> bytes:
    return _IBHIQI.pack(23, 40, *message)


def _encode_rreaddir(message: m.Rreaddir) -> bytes:
    tag, count = message
    total = 11 + count
    return _IBHI.pack(total, 41, tag, count)


def _encode_tfsync(message: m.Tfsync) -> bytes:
    return _IBHII.pack(15, 50, *message)


def _encode_rfsync(message: m.Rfsync) -> bytes:
    return _IBH.pack(7, 51, *message)


def _encode_tlock(message: m.Tlock) -> bytes:
    tag, fid, type_, flags, start, length, proc_id, client_id = message
    total = 38 + len(client_id)
    return b"".join(
        (
            _IBHIBIQQIH.pack(
                total,
                52,
                tag,
                fid,
                type_,
                flags,
                start,
                length,
                proc_id,
                len(client_id),
            ),
            client_id,
        )
    )


def _encode_rlock(message: m.Rlock) -> bytes:
    return _IBHB.pack(8, 53, *message)


def _encode_tgetlock(message: m.Tgetlock) -> bytes:
    tag, fid, type_, start, length, proc_id, client_id = message
    total = 34 + len(client_id)
    return b"".join(
        (
            _IBHIBQQIH.pack(total, 54, tag, fid, type_, start, length, proc_id, len(client_id)),
            client_id,
        )
    )


def _encode_rgetlock(message: m.Rgetlock) -> bytes:
    tag, type_, start, length, proc_id, client_id = message
    total = 30 + len(client_id)
    return b"".join(
        (
            _IBHBQQIH.pack(total, 55, tag, type_, start, length, proc_id, len(client_id)),
            client_id,
        )
    )


def _encode_tlink(message: m.Tlink) -> bytes:
    tag, dfid, fid, name = message
    total = 17 + len(name)
    return b"".join((_IBHIIH.pack(total, 70, tag, dfid, fid, len(name)), name))


def _encode_rlink(message: m.Rlink) -> bytes:
    return _IBH.pack(7, 71, *message)


def _encode_tmkdir(message: m.Tmkdir) -> bytes:
    tag, dfid, name, mode, gid = message
    total = 21 + len(name)
    return b"".join((_IBHIH.pack(total, 72, tag, dfid, len(name)), name, _II.pack(mode, gid)))


def _encode_rmkdir(message: m.Rmkdir) -> bytes:
    tag, qid = message
    qid_type, qid_version, qid_path = qid
    total = 20
    return _IBHBIQ.pack(total, 73, tag, qid_type, qid_version, qid_path)


def _encode_trenameat(message: m.Trenameat) -> bytes:
    tag, olddirfid, oldname, newdirfid, newname = message
    total = 19 + len(oldname) + len(newname)
    return b"".join(
        (
            _IBHIH.pack(total, 74, tag, olddirfid, len(oldname)),
            oldname,
            _IH.pack(newdirfid, len(newname)),
            newname,
        )
    )


def _encode_rrenameat(message: m.Rrenameat) -> bytes:
    return _IBH.pack(7, 75, *message)


def _encode_tunlinkat(message: m.Tunlinkat) -> bytes:
    tag, dirfid, name, flags = message
    total = 17 + len(name)
    return b"".join((_IBHIH.pack(total, 76, tag, dirfid, len(name)), name, _I.pack(flags)))


def _encode_runlinkat(message: m.Runlinkat) -> bytes:
    return _IBH.pack(7, 77, *message)


def _encode_tversion(message: m.Tversion) -> bytes:
    tag, msize, version = message
    total = 13 + len(version)
    return b"".join((_IBHIH.pack(total, 100, tag, msize, len(version)), version))


def _encode_rversion(message: m.Rversion) -> bytes:
    tag, msize, version = message
    total = 13 + len(version)
    return b"".join((_IBHIH.pack(total, 101, tag, msize, len(version)), version))


def _encode_tauth(message: m.Tauth) -> bytes:
    tag, afid, uname, aname, n_uname = message
    total = 19 + len(uname) + len(aname)
    return b"".join(
        (
            _IBHIH.pack(total, 102, tag, afid, len(uname)),
            uname,
            _H.pack(len(aname)),
            aname,
            _I.pack(n_uname),
        )
    )


def _encode_rauth(message: m.Rauth) -> bytes:
    tag, aqid = message
    aqid_type, aqid_version, aqid_path = aqid
    total = 20
    return _IBHBIQ.pack(total, 103, tag, aqid_type, aqid_version, aqid_path)


def _encode_tattach(message: m.Tattach) -> bytes:
    tag, fid, afid, uname, aname, n_uname = message
    total = 23 + len(uname) + len(aname)
    return b"".join(
        (
            _IBHIIH.pack(total, 104, tag, fid, afid, len(uname)),
            uname,
            _H.pack(len(aname)),
            aname,
            _I.pack(n_uname),
        )
    )


def _encode_rattach(message: m.Rattach) -> bytes:
    tag, qid = message
    qid_type, qid_version, qid_path = qid
    total = 20
    return _IBHBIQ.pack(total, 105, tag, qid_type, qid_version, qid_path)


def _encode_rerror(message: m.Rerror) -> bytes:
    tag, ename, errno = message
    total = 13 + len(ename)
    return b"".join((_IBHH.pack(total, 107, tag, len(ename)), ename, _I.pack(errno)))


def _encode_tflush(message: m.Tflush) -> bytes:
    return _IBHH.pack(9, 108, *message)


def _encode_rflush(message: m.Rflush) -> bytes:
    return _IBH.pack(7, 109, *message)


def _encode_twalk(message: m.Twalk) -> bytes:
    tag, fid, newfid, wnames = message
    if len(wnames) > 16:
        raise ValueError(f"{len(wnames)} wnames, at most 16")
    packed = b"".join([_H.pack(len(s)) + s for s in wnames])
    total = 17 + len(packed)
    return b"".join((_IBHIIH.pack(total, 110, tag, fid, newfid, len(wnames)), packed))


def _encode_rwalk(message: m.Rwalk) -> bytes:
    tag, wqids = message
    if len(wqids) > 16:
        raise ValueError(f"{len(wqids)} wqids, at most 16")
    packed = b"".join([_BIQ.pack(*r) for r in wqids])
    total = 9 + len(packed)
    return b"".join((_IBHH.pack(total, 111, tag, len(wqids)), packed))


def _encode_topen(message: m.Topen) -> bytes:
    return _IBHIB.pack(12, 112, *message)


def _encode_ropen(message: m.Ropen) -> bytes:
    tag, qid, iounit = message
    qid_type, qid_version, qid_path = qid
    total = 24
    return _IBHBIQI.pack(total, 113, tag, qid_type, qid_version, qid_path, iounit)


def _encode_tcreate(message: m.Tcreate) -> bytes:
    tag, fid, name, perm, mode, extension = message
    total = 20 + len(name) + len(extension)
    return b"".join(
        (
            _IBHIH.pack(total, 114, tag, fid, len(name)),
            name,
            _IBH.pack(perm, mode, len(extension)),
            extension,
        )
    )


def _encode_rcreate(message: m.Rcreate) -> bytes:
    tag, qid, iounit = message
    qid_type, qid_version, qid_path = qid
    total = 24
    return _IBHBIQI.pack(total, 115, tag, qid_type, qid_version, qid_path, iounit)


def _encode_tread(message: m.Tread) -> bytes:
    return _IBHIQI.pack(23, 116, *message)


def _encode_rread(message: m.Rread) -> bytes:
    tag, count = message
    total = 11 + count
    return _IBHI.pack(total, 117, tag, count)


def _encode_twrite(message: m.Twrite) -> bytes:
    tag, fid, offset, count = message
    total = 23 + count
    return _IBHIQI.pack(total, 118, tag, fid, offset, count)


def _encode_rwrite(message: m.Rwrite) -> bytes:
    return _IBHI.pack(11, 119, *message)


def _encode_tclunk(message: m.Tclunk) -> bytes:
    return _IBHI.pack(11, 120, *message)


def _encode_rclunk(message: m.Rclunk) -> bytes:
    return _IBH.pack(7, 121, *message)


def _encode_tremove(message: m.Tremove) -> bytes:
    return _IBHI.pack(11, 122, *message)


def _encode_rremove(message: m.Rremove) -> bytes:
    return _IBH.pack(7, 123, *message)


def _encode_tstat(message: m.Tstat) -> bytes:
    return _IBHI.pack(11, 124, *message)


def _encode_rstat(message: m.Rstat) -> bytes:
    tag, stat = message
    packed = pack_stat(stat)
    total = 9 + len(packed)
    return b"".join((_IBHH.pack(total, 125, tag, len(packed)), packed))


def _encode_twstat(message: m.Twstat) -> bytes:
    tag, fid, stat = message
    packed = pack_stat(stat)
    total = 13 + len(packed)
    return b"".join((_IBHIH.pack(total, 126, tag, fid, len(packed)), packed))


def _encode_rwstat(message: m.Rwstat) -> bytes:
    return _IBH.pack(7, 127, *message)


DECODERS: dict[int, Callable[[bytes, int], m.Message]] = {
    7: _decode_rlerror,
    8: _decode_tstatfs,
    9: _decode_rstatfs,
    12: _decode_tlopen,
    13: _decode_rlopen,
    14: _decode_tlcreate,
    15: _decode_rlcreate,
    16: _decode_tsymlink,
    17: _decode_rsymlink,
    18: _decode_tmknod,
    19: _decode_rmknod,
    20: _decode_trename,
    21: _decode_rrename,
    22: _decode_treadlink,
    23: _decode_rreadlink,
    24: _decode_tgetattr,
    25: _decode_rgetattr,
    26: _decode_tsetattr,
    27: _decode_rsetattr,
    30: _decode_txattrwalk,
    31: _decode_rxattrwalk,
    32: _decode_txattrcreate,
    33: _decode_rxattrcreate,
    40: _decode_treaddir,
    41: _decode_rreaddir,
    50: _decode_tfsync,
    51: _decode_rfsync,
    52: _decode_tlock,
    53: _decode_rlock,
    54: _decode_tgetlock,
    55: _decode_rgetlock,
    70: _decode_tlink,
    71: _decode_rlink,
    72: _decode_tmkdir,
    73: _decode_rmkdir,
    74: _decode_trenameat,
    75: _decode_rrenameat,
    76: _decode_tunlinkat,
    77: _decode_runlinkat,
    100: _decode_tversion,
    101: _decode_rversion,
    102: _decode_tauth,
    103: _decode_rauth,
    104: _decode_tattach,
    105: _decode_rattach,
    107: _decode_rerror,
    108: _decode_tflush,
    109: _decode_rflush,
    110: _decode_twalk,
    111: _decode_rwalk,
    112: _decode_topen,
    113: _decode_ropen,
    114: _decode_tcreate,
    115: _decode_rcreate,
    116: _decode_tread,
    117: _decode_rread,
    118: _decode_twrite,
    119: _decode_rwrite,
    120: _decode_tclunk,
    121: _decode_rclunk,
    122: _decode_tremove,
    123: _decode_rremove,
    124: _decode_tstat,
    125: _decode_rstat,
    126: _decode_twstat,
    127: _decode_rwstat,
}

ENCODERS: dict[type[m.Message], Callable[[Any], bytes]] = {
    m.Rlerror: _encode_rlerror,
    m.Tstatfs: _encode_tstatfs,
    m.Rstatfs: _encode_rstatfs,
    m.Tlopen: _encode_tlopen,
    m.Rlopen: _encode_rlopen,
    m.Tlcreate: _encode_tlcreate,
    m.Rlcreate: _encode_rlcreate,
    m.Tsymlink: _encode_tsymlink,
    m.Rsymlink: _encode_rsymlink,
    m.Tmknod: _encode_tmknod,
    m.Rmknod: _encode_rmknod,
    m.Trename: _encode_trename,
    m.Rrename: _encode_rrename,
    m.Treadlink: _encode_treadlink,
    m.Rreadlink: _encode_rreadlink,
    m.Tgetattr: _encode_tgetattr,
    m.Rgetattr: _encode_rgetattr,
    m.Tsetattr: _encode_tsetattr,
    m.Rsetattr: _encode_rsetattr,
    m.Txattrwalk: _encode_txattrwalk,
    m.Rxattrwalk: _encode_rxattrwalk,
    m.Txattrcreate: _encode_txattrcreate,
    m.Rxattrcreate: _encode_rxattrcreate,
    m.Treaddir: _encode_treaddir,
    m.Rreaddir: _encode_rreaddir,
    m.Tfsync: _encode_tfsync,
    m.Rfsync: _encode_rfsync,
    m.Tlock: _encode_tlock,
    m.Rlock: _encode_rlock,
    m.Tgetlock: _encode_tgetlock,
    m.Rgetlock: _encode_rgetlock,
    m.Tlink: _encode_tlink,
    m.Rlink: _encode_rlink,
    m.Tmkdir: _encode_tmkdir,
    m.Rmkdir: _encode_rmkdir,
    m.Trenameat: _encode_trenameat,
    m.Rrenameat: _encode_rrenameat,
    m.Tunlinkat: _encode_tunlinkat,
    m.Runlinkat: _encode_runlinkat,
    m.Tversion: _encode_tversion,
    m.Rversion: _encode_rversion,
    m.Tauth: _encode_tauth,
    m.Rauth: _encode_rauth,
    m.Tattach: _encode_tattach,
    m.Rattach: _encode_rattach,
    m.Rerror: _encode_rerror,
    m.Tflush: _encode_tflush,
    m.Rflush: _encode_rflush,
    m.Twalk: _encode_twalk,
    m.Rwalk: _encode_rwalk,
    m.Topen: _encode_topen,
    m.Ropen: _encode_ropen,
    m.Tcreate: _encode_tcreate,
    m.Rcreate: _encode_rcreate,
    m.Tread: _encode_tread,
    m.Rread: _encode_rread,
    m.Twrite: _encode_twrite,
    m.Rwrite: _encode_rwrite,
    m.Tclunk: _encode_tclunk,
    m.Rclunk: _encode_rclunk,
    m.Tremove: _encode_tremove,
    m.Rremove: _encode_rremove,
    m.Tstat: _encode_tstat,
    m.Rstat: _encode_rstat,
    m.Twstat: _encode_twstat,
    m.Rwstat: _encode_rwstat,
}

LAYOUTS: dict[type[m.Message], str] = {
    m.Rlerror: "HI",
    m.Tstatfs: "HI",
    m.Rstatfs: "HIIQQQQQQI",
    m.Tlopen: "HII",
    m.Rlopen: "HrI",
    m.Tlcreate: "HIsIII",
    m.Rlcreate: "HrI",
    m.Tsymlink: "HIssI",
    m.Rsymlink: "Hr",
    m.Tmknod: "HIsIIII",
    m.Rmknod: "Hr",
    m.Trename: "HIIs",
    m.Rrename: "H",
    m.Treadlink: "HI",
    m.Rreadlink: "Hs",
    m.Tgetattr: "HIQ",
    m.Rgetattr: "HQrIIIQQQQQQQQQQQQQQQ",
    m.Tsetattr: "HIIIIIQQQQQ",
    m.Rsetattr: "H",
    m.Txattrwalk: "HIIs",
    m.Rxattrwalk: "HQ",
    m.Txattrcreate: "HIsQI",
    m.Rxattrcreate: "H",
    m.Treaddir: "HIQI",
    m.Rreaddir: "HI",
    m.Tfsync: "HII",
    m.Rfsync: "H",
    m.Tlock: "HIBIQQIs",
    m.Rlock: "HB",
    m.Tgetlock: "HIBQQIs",
    m.Rgetlock: "HBQQIs",
    m.Tlink: "HIIs",
    m.Rlink: "H",
    m.Tmkdir: "HIsII",
    m.Rmkdir: "Hr",
    m.Trenameat: "HIsIs",
    m.Rrenameat: "H",
    m.Tunlinkat: "HIsI",
    m.Runlinkat: "H",
    m.Tversion: "HIs",
    m.Rversion: "HIs",
    m.Tauth: "HIssI",
    m.Rauth: "Hr",
    m.Tattach: "HIIssI",
    m.Rattach: "Hr",
    m.Rerror: "HsI",
    m.Tflush: "HH",
    m.Rflush: "H",
    m.Twalk: "HIIl",
    m.Rwalk: "Hl",
    m.Topen: "HIB",
    m.Ropen: "HrI",
    m.Tcreate: "HIsIBs",
    m.Rcreate: "HrI",
    m.Tread: "HIQI",
    m.Rread: "HI",
    m.Twrite: "HIQI",
    m.Rwrite: "HI",
    m.Tclunk: "HI",
    m.Rclunk: "H",
    m.Tremove: "HI",
    m.Rremove: "H",
    m.Tstat: "HI",
    m.Rstat: "Hr",
    m.Twstat: "HIr",
    m.Rwstat: "H",
}
"""A letter per field: struct's of a number; s a string, l a list, r a record."""

FIXED_SIZE: dict[int, int] = {
    41: 11,
    117: 11,
    118: 23,
}
"""Bytes before the payload, of the types that have one."""
