"""The console process: holds serial lines while somebody watches or a deployment is recorded, and shows them."""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select

from pxeapp.appliance import clock
from pxeapp.bmc.connect import Connector, Login, login_of
from pxeapp.bmc.errors import BmcError
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import Console, SerialLine
from pxeapp.config import Settings
from pxeapp.consoles import door
from pxeapp.consoles.earlier import Earlier
from pxeapp.consoles.held import Held
from pxeapp.consoles.keeping import Keeping
from pxeapp.consoles.showing import Show, Viewer
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, PxeError, Unavailable
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault

HELD_LIMIT = 400  # a thread each; whoever is recorded counts
TAIL = 64 * 1024  # of what was said before, for one who comes anew
HUNG_S = 60.0  # bounded questions within a line add up to less
STOP_S = 5.0
BACKLOG = 64
WORN_EXIT_CODE = 70
BEAT = b"."
log = logging.getLogger(__name__)


class NoConsole(BmcError):
    """This machine cannot have one."""

    code = "cannot"


class Holder:
    """One process's consoles."""

    def __init__(self, settings: Settings, *, beat: int | None = None) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        clock.watch(self.database)
        self._connector = Connector(settings, open_vault(settings.data_dir))
        self._beat = beat
        self._epochs = itertools.count(time.time_ns())
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()
        self._earlier = Earlier(self.database, settings)
        self._show = Show()
        self._keeping = Keeping(self.database, settings, self.held)
        self._does: dict[str, Callable[[dict[str, Any], Held], dict[str, Any]]] = {
            "type": self._type, "break": self._break, "take": self._take, "release": self._release,
            "state": lambda _, held: held.standing(),
        }  # fmt: skip

    def run(self, stop: threading.Event) -> int:
        """Until `stop`, or until something hangs that only the end of the process ends. Returns the exit code."""
        server = self._listen()
        self._show.start()
        pool = ThreadPoolExecutor(8, thread_name_prefix="console-door")
        threading.Thread(target=self._accept, args=(server, pool), name="console-accept", daemon=True).start()
        code = 0
        try:
            while not stop.wait(0.5):
                self._keeping.look(now())
                self._tidy()
                if not self._send_beat():
                    break  # the watchdog was killed; its successor starts another
                if self._worn():
                    code = WORN_EXIT_CODE
                    break
        finally:
            server.close()
            with contextlib.suppress(OSError):
                door.socket_path(self.settings).unlink()
            self._stop_all()
            self._show.stop()
            self._keeping.close()
            pool.shutdown(wait=False, cancel_futures=True)
        return code

    def held(self, machine_id: int, name: str) -> Held:
        """A machine's console, made at the first use, with what was seen on it before."""
        with self._lock:
            found = self._held.get(machine_id)
        if found is not None:
            return found
        before = self._earlier.screen(machine_id, name)  # may read a database, for which nobody else waits
        with self._lock:
            found = self._held.get(machine_id)
            if found is None:
                if len(self._held) >= HELD_LIMIT:
                    raise Conflict("Too many consoles are held at once. Close some; recorded ones count.")
                found = self._held[machine_id] = Held(
                    machine_id=machine_id, name=name, open=functools.partial(self._open, machine_id),
                    login=functools.partial(self._login, machine_id), calm=functools.partial(self._calm, machine_id),
                    changed=self._show.ring, clock=now, epoch=f"{next(self._epochs):x}", said=bytearray(before),
                )  # fmt: skip
            return found

    # --- lines --------------------------------------------------------------------------------------------------------

    def _open(self, machine_id: int, heard: Callable[[bytes], None], take: bool) -> SerialLine:  # noqa: FBT001
        bmc = self._bmc(machine_id)
        if bmc is None:
            raise NoConsole("The machine has no BMC in our records, so there is no console.")
        driver = self._connector.driver(bmc)
        if not isinstance(driver, Console):
            raise NoConsole(f"A BMC of type {bmc.type!r} has no console that we can open.")
        return driver.serial_line(heard, take=take)

    def _bmc(self, machine_id: int) -> Bmc | None:
        with self.database.read() as session:
            bmc = session.scalar(select(Bmc).where(Bmc.machine_id == machine_id))
            session.expunge_all()
            return bmc

    def _login(self, machine_id: int) -> Login | None:
        bmc = self._bmc(machine_id)
        return login_of(bmc) if bmc is not None else None

    def _calm(self, machine_id: int) -> bool:
        """Whether no power command is between its intent and its sending: then its session goes first."""
        try:
            with self.database.read() as session:
                under_way = select(PowerAction.id).where(
                    PowerAction.machine_id == machine_id,
                    PowerAction.finished_at.is_(None),
                    PowerAction.phase.like("%\\_intended", escape="\\"),
                )
                return session.scalar(under_way.limit(1)) is None
        except Unavailable:
            return True

    def _tidy(self) -> None:
        with self._lock:
            for machine_id, held in list(self._held.items()):
                if held.wanted:
                    held.begin()  # its thread may just have ended when somebody came
                elif not held.runs and not held.viewers and not held.refused:
                    self._earlier.remember(machine_id, held.name, bytes(held.said), held.heard_at)
                    del self._held[machine_id]

    def _worn(self) -> bool:
        with self._lock:
            hung = max((held.stuck_s for held in self._held.values()), default=0.0)
        if hung > HUNG_S or time.monotonic() - self._show.alive_at > HUNG_S:
            log.error("A console has not moved for %.0f s; this process ends and another takes over.", hung)
            return True
        return False

    def _stop_all(self) -> None:
        with self._lock:
            all_held = list(self._held.values())
        for held in all_held:
            held.stop()
        deadline = time.monotonic() + STOP_S
        for held in all_held:
            held.stop(wait_s=max(0.01, deadline - time.monotonic()))

    def _send_beat(self) -> bool:
        try:
            return self._beat is None or os.write(self._beat, BEAT) > 0
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False

    # --- the door -----------------------------------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        path = door.socket_path(self.settings)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(draft))
        draft.chmod(0o600)
        server.listen(BACKLOG)
        # Whoever finds it can connect; and one that a killed process left behind is replaced (one runs at a time).
        draft.replace(path)
        return server

    def _accept(self, server: socket.socket, pool: ThreadPoolExecutor) -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return  # it was closed: the process ends
            sock.settimeout(door.ANSWER_S)
            with contextlib.suppress(RuntimeError):
                pool.submit(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        kept = False
        try:
            said = json.loads(door.read_line(sock) or b"null")
            kept = self._answer(sock, said)
        except PxeError as error:
            self._reply(sock, {"error": error.sentence, "hint": error.hint})
        except (ValueError, KeyError, TypeError, OSError):
            self._reply(sock, {"error": "That is no request."})
        except Exception:
            log.exception("A request to the console process failed")
            self._reply(sock, {"error": "The console process had trouble."})
        finally:
            if not kept:
                sock.close()

    def _answer(self, sock: socket.socket, said: dict[str, Any]) -> bool:
        """Answer one request; True when the socket was kept, to show something on."""
        what, machine_id = str(said["do"]), int(said["machine"])
        if what in ("watch", "attach"):
            self._watch(sock, said)
            return True
        with self._lock:
            held = self._held.get(machine_id)
        if held is None and what == "state":
            self._reply(sock, {"state": "closed", "detail": "", "viewers": 0, "recording": None})
            return False
        if held is None:
            raise Conflict("Nobody has this console open. Open it first.")
        self._reply(sock, self._does[what](said, held))
        return False

    def _watch(self, sock: socket.socket, said: dict[str, Any]) -> None:
        held = self.held(int(said["machine"]), self._name(int(said["machine"])))
        after = str(said.get("after", ""))
        if not self._show.room:
            raise Conflict("Too many consoles are watched at once. Close some windows.")
        if said["do"] == "attach":
            viewer = Viewer(sock, held, "raw", self._from(held, after), on_input=held.type)
        else:
            viewer = Viewer(sock, held, "sse", self._from(held, after))
            viewer.anew = not after.startswith(f"{held.epoch}-")
        self._reply(sock, {"ok": True, **held.standing()})
        self._show.add(viewer)

    @staticmethod
    def _from(held: Held, after: str) -> int:
        epoch, _, position = after.partition("-")
        if epoch == held.epoch and position.isascii() and position.isdigit():
            return int(position)
        return held.newcomer(TAIL)

    def _name(self, machine_id: int) -> str:
        with self.database.read() as session:
            name = session.scalar(select(Machine.name).where(Machine.id == machine_id))
        if name is None:
            raise Conflict("There is no such machine.")
        return name

    def _type(self, said: dict[str, Any], held: Held) -> dict[str, Any]:
        if not held.type(base64.b64decode(said["data"], validate=True)):
            raise Conflict(f"The console is not open ({held.state}); nothing was typed.")
        return {"ok": True}

    def _break(self, _: dict[str, Any], held: Held) -> dict[str, Any]:
        if not held.send_break():
            raise Conflict(f"The console is not open ({held.state}); no break was sent.")
        return {"ok": True}

    def _take(self, _: dict[str, Any], held: Held) -> dict[str, Any]:
        held.take()
        return {"ok": True}

    def _release(self, _: dict[str, Any], held: Held) -> dict[str, Any]:
        if held.recorder is not None:
            raise Conflict("Its deployment is being recorded; the console is given back when that has ended.")
        held.release()
        return {"ok": True}

    @staticmethod
    def _reply(sock: socket.socket, value: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(json.dumps(value).encode() + b"\n")
