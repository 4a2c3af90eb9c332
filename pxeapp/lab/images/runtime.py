"""Programs and a Python for the initrd: exactly the files that are used, found by using them."""

from __future__ import annotations

import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from pxeapp.errors import Unavailable

DIALECTS = ("RHEL7", "RHEL8", "RHEL9", "RHEL10")
# Imports the stand-in, parses a kickstart in every dialect, and then tells which files the interpreter had to read.
PROBE = """
import sys
sys.path[:0] = [{stub!r}]
import json, tempfile, pathlib
import encodings.idna, installer
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion
sample = "text\\nreboot\\nignoredisk --only-use=vda\\nrootpw --lock\\n%packages\\nbash\\n%end\\n%pre\\ntrue\\n%end\\n%post --nochroot\\ntrue\\n%end\\n%onerror\\ntrue\\n%end\\n"
for version in {dialects!r}:
    parser = KickstartParser(makeVersion(version))
    parser.readKickstartFromString(sample)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "ks"
    path.write_text(sample)
    KickstartParser(makeVersion("RHEL9")).readKickstart(str(path))
print(json.dumps({{name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}}))
"""  # noqa: E501


def copy_program(name: str, tree: Path) -> None:
    """A program with the libraries it is linked with."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is missing on this host.", hint=f"Install the package {name}.")
    target = tree / "usr/bin" / name
    (tree / "bin" / name).unlink(missing_ok=True)
    shutil.copy(found, target)
    _libraries(Path(found), tree)


def copy_python(tree: Path, guest: Path) -> None:
    """This host's Python, reduced to what parsing a kickstart reads, below /py."""
    home = tree / "py"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = home / "lib" / version
    library.mkdir(parents=True)
    interpreter = Path(os.path.realpath(sys.executable))
    (home / "bin").mkdir()
    shutil.copy(interpreter, home / "bin/python")
    _libraries(interpreter, tree)
    for name, file in sorted(_modules(guest).items()):
        if file is not None and name not in ("__main__", "installer"):
            _copy_module(name, Path(file), library, tree)
    # pykickstart finds its dialects by the names of source files; an empty one is enough, the compiled one is imported.
    for dialect in DIALECTS:
        (library / "pykickstart/handlers" / f"{dialect.lower()}.py").touch()


def _modules(guest: Path) -> dict[str, str | None]:
    # pykickstart lies in the virtual environment: run its interpreter, without the site's own start-up files.
    site = [str(Path(spec.origin).parent.parent) for spec in [find_spec("pykickstart")] if spec and spec.origin]
    environment = {"PYTHONPATH": os.pathsep.join(site), "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROBE.format(stub=str(guest), dialects=DIALECTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    if done.returncode:
        raise Unavailable(f"pykickstart does not run here: {done.stderr.strip()[-500:]}")
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def _copy_module(name: str, file: Path, library: Path, tree: Path) -> None:
    if file.suffix in (".so",) or ".so" in file.suffixes:
        target = library / "lib-dynload" / file.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
        _libraries(file, tree)
        return
    if file.suffix != ".py":
        return
    path = Path(*name.split("."))
    target = library / (path / "__init__.pyc" if file.name == "__init__.py" else path.with_suffix(".pyc"))
    target.parent.mkdir(parents=True, exist_ok=True)
    py_compile.compile(
        str(file),
        str(target),
        dfile=name,
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    for marker in {parent for parent in path.parents if str(parent) != "."}:
        (library / marker).mkdir(parents=True, exist_ok=True)


def _libraries(program: Path, tree: Path) -> None:
    """What the dynamic linker would load, at the same places."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False, timeout=60).stdout
    for path in re.findall(r"(/\S+) \(0x", said):
        target = tree / path.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
