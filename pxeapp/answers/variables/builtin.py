"""The variables that every role knows, from each capability's table. A role's own come on top of these."""

from __future__ import annotations

from pxeapp.answers.variables.network import NETWORK
from pxeapp.answers.variables.schema import Variable
from pxeapp.answers.variables.site import SITE
from pxeapp.answers.variables.software import SOFTWARE
from pxeapp.answers.variables.storage import STORAGE
from pxeapp.answers.variables.system import SYSTEM

BUILTIN: dict[str, Variable] = {variable.name: variable for variable in (*SYSTEM, *STORAGE, *NETWORK, *SITE, *SOFTWARE)}
