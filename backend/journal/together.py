"""Which requests are committed together, as many as come at once: one line for each.

They look only, or lead to the same state however often they are carried out in their order; and
they change nothing of the session that a commit writes down.  A worker that dies before the commit
leaves all of them in the ring, and the next one carries out all of them.  What else is in a batch
is committed by itself, and before it whatever waits for that: so what a request that must not be
done twice finds is what a commit has said, and nothing that came before it is done after it.

``Carrier`` takes out of them: a Tread of a directory as 9P2000.u reads it, and of any file beside
channels; a Twrite through a fid of which more is written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.ninep import messages as m

if TYPE_CHECKING:
    from protocol.ninep.messages import Message

TOGETHER: Final[frozenset[type[Message]]] = frozenset(
    {
        m.Tgetattr,
        m.Tread,
        m.Treaddir,
        m.Treadlink,
        m.Tstat,
        m.Tstatfs,
        m.Twrite,  # at an offset
    }
)
