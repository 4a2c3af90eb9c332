"""Who did what, when, from where, to what: append-only, each row chained to the one before it.

No state change goes without a row here, in its own transaction, and no refusal goes unseen.
"""

from pxeapp.audit import chain  # seals at each commit
from pxeapp.audit.models import AuditPrune, AuditRow
from pxeapp.audit.recording import DONE, REFUSED, Source, came_from, difference, record

__all__ = ["DONE", "REFUSED", "AuditPrune", "AuditRow", "Source", "came_from", "chain", "difference", "record"]
