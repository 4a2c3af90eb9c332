"""What a renderer gives up before it reads a template: memory, files, network, processes, rights.

Each of these holds by itself. Where the host lacks one (another processor than x86-64 has other numbers for system
calls, a container may refuse to give up root), the others stand.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterable

NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)
SIGKILL = 9

# linux/prctl.h, linux/capability.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 22, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522

# linux/filter.h, linux/seccomp.h, linux/audit.h
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # with EPERM
NUMBER, ARCHITECTURE = 0, 4  # where they lie in struct seccomp_data
X86_64 = 0xC000003E
# What an interpreter needs that computes, and reads and writes one socket.
CALLS = {
    "read": 0, "write": 1, "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "setitimer": 38,
    "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "futex": 202, "restart_syscall": 219,
    "clock_gettime": 228, "exit_group": 231, "getrandom": 318,
}  # fmt: skip


def confine(*, memory: int, cpu_s: int) -> None:
    """For good: `memory` bytes more than now, `cpu_s` seconds of computing in all, no descriptor but those open."""
    _give_up_rights()
    LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # after the change of user, which clears it
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # neither a core file nor a debugger
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115, PTH123 - one line
    for limit, value in (
        (resource.RLIMIT_AS, now + memory),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),  # no number is left for a new file or socket
    ):
        resource.setrlimit(limit, (value, value))
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if platform.machine() == "x86_64":
        _allow_only(CALLS.values())


def _give_up_rights() -> None:
    """Root becomes nobody; whoever was given rights to bind ports and to do DHCP loses them."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    LIBC.capset(header, ctypes.create_string_buffer(24))  # two times three words: none


def _allow_only(numbers: Iterable[int]) -> None:
    """Every other system call fails with "not permitted"."""
    allowed = sorted(numbers)
    program = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_IF_EQUAL, 0, len(allowed) + 1, X86_64), (LOAD, 0, 0, NUMBER)]
    # A jump goes over what is left of the list, and over the refusal behind it.
    program += [(JUMP_IF_EQUAL, len(allowed) - place, 0, number) for place, number in enumerate(allowed)]
    program += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    about = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(about), 0, 0)
