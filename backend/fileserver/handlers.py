"""From each request to its handler: the dense table that says what is served.

Tread, Twrite and Treaddir are not here, because their data goes beside the message (``io``,
``directories``); Tflush is the pump's own.  Which dialect has which request is said elsewhere
(``Dialect.requests``), and asked before.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from backend.fileserver import (
    attributes,
    changes,
    directories,
    linking,
    locking,
    naming,
    opening,
    session,
    syncing,
    xattrs,
)
from backend.fileserver.dotu import changing as dotu_changing
from backend.fileserver.dotu import opening as dotu_opening
from backend.fileserver.dotu import stats as dotu_stats
from protocol.ninep import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.fileserver.deferred import Deferred
    from backend.fileserver.parked import Parked

    Handler = Callable[[session.Session, Any], m.Message | Deferred | Parked]

HANDLERS: Final[Mapping[type[m.Message], Handler]] = MappingProxyType(
    {
        m.Tversion: session.version,
        m.Tauth: session.auth,
        m.Tattach: session.attach,
        m.Twalk: naming.walk,
        m.Tclunk: naming.clunk,
        m.Tremove: naming.remove,
        m.Tlopen: opening.lopen,
        m.Tlcreate: opening.lcreate,
        m.Tgetattr: attributes.getattr,
        m.Tsetattr: attributes.setattr,
        m.Tstatfs: attributes.statfs,
        m.Txattrwalk: xattrs.xattrwalk,
        m.Txattrcreate: xattrs.xattrcreate,
        m.Tfsync: syncing.fsync,
        m.Tmkdir: directories.mkdir,
        m.Tsymlink: linking.symlink,
        m.Treadlink: linking.readlink,
        m.Tmknod: linking.mknod,
        m.Tlink: linking.link,
        m.Trename: changes.rename,
        m.Tunlinkat: changes.unlinkat,
        m.Trenameat: changes.renameat,
        m.Tlock: locking.lock,
        m.Tgetlock: locking.getlock,
        m.Topen: dotu_opening.open_,
        m.Tcreate: dotu_opening.create,
        m.Tstat: dotu_stats.stat_,
        m.Twstat: dotu_changing.wstat,
    }
)
"""Each takes the session and its request, gives the reply, and raises ``OSError``."""
