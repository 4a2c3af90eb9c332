"""The parent of all renderers: small, with one thread, and with nothing of ours in it that could leak.

Our own processes have threads and must not fork; this one is started by them, imports what a renderer needs, and forks
at once when it is asked to. It runs no template and so always hears that its socket was closed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys

from pxeapp.templates import inside
from pxeapp.templates.limits import Limits


def main() -> None:
    """`argv`: the limits. Standard input is a socket: each message on it carries a renderer's socket."""
    limits = Limits(**json.loads(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a stop is our owner's to hear; it may render until its end
    inside.Renderer(limits)  # what this loads and builds, every renderer has
    gc.freeze()
    control = socket.socket(fileno=0)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            os._exit(0)  # our owner is gone; our renderers follow (see confinement.py)
        for descriptor in descriptors:
            _answer(control, descriptor, limits)
        _bury()


def _answer(control: socket.socket, descriptor: int, limits: Limits) -> None:
    """Fork a renderer, and send what it can be ended by without a doubt which process that is."""
    pid = os.fork()
    if pid == 0:
        _become_renderer(descriptor, limits)
    handle = os.pidfd_open(pid)
    socket.send_fds(control, [b"+"], [handle])
    os.close(handle)
    os.close(descriptor)


def _become_renderer(descriptor: int, limits: Limits) -> None:
    try:
        os.dup2(descriptor, inside.SOCKET)
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
            if int(name) != inside.SOCKET:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        inside.serve(limits)
    finally:
        os._exit(1)


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
