"""`python -m pxeapp.lab.images CACHE`: build the stand-in and print where it lies."""

from __future__ import annotations

import sys
from pathlib import Path

from pxeapp.lab.images.build import build

made = build(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/pxeapp"))
print(made.kernel)
print(made.initrd)
