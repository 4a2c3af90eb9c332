"""Who is doing something, with which role, on which machines, and by what right."""

from __future__ import annotations

from dataclasses import dataclass

SESSION, TOKEN, KEYSTONE, HERE = "session", "token", "keystone", "here"
IN_PROCESS = "pxeapp.actor"  # who asks from within this process, in the WSGI environ: no header can have this name


@dataclass(frozen=True, slots=True)
class Actor:
    """`label` is what the audit keeps. `stage`: what a session still has to do before it may do anything else."""

    label: str
    role: str
    user_id: int | None = None
    projects: frozenset[str] | None = None  # None: all
    read_only: bool = False
    by: str = TOKEN
    session_id: int | None = None
    stage: str = ""  # "", second factor, password, enrol
