"""Variables: what each is (schema.py), which there are (one file per capability, gathered in builtin.py), read."""

from pxeapp.answers.variables.builtin import BUILTIN
from pxeapp.answers.variables.reading import LISTS, NAMES, Variables, read
from pxeapp.answers.variables.schema import Variable, declared

__all__ = ["BUILTIN", "LISTS", "NAMES", "Variable", "Variables", "declared", "read"]
