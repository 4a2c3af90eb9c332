"""Shell scripts as the shells themselves read them, shellcheck where there is one, and what an installer's shell lacks.

A script that another writes from a quoted here-document is a script too: when it says so in its first line, or when
the outer one runs it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from pxeapp.faults import Fault
from pxeapp.faults.programs import CheckTooSlow, installed, judged

log = logging.getLogger(__name__)

LONGEST = 400_000  # characters; no script of an installation is a tenth of that
# What shellcheck is not asked about, and why.
IGNORED = {
    "SC1003": "a backslash at the end of a set for tr is meant as one",
    "SC1090": "what a script sources is there at installation only",
    "SC1091": "the same",
    "SC2015": "A && B || C, where C is harmless, is how these scripts go on after a failure",
    "SC2034": "functions and settings are shared by sections, and not each uses all",
    "SC2154": "variables come from the installer's own environment or a file that is sourced",
    "SC2317": "shared functions again",
    "SC2329": "shared functions again",
    "SC3043": "`local` is in every shell we meet",
    "SC3010": "busybox and dash differ in [[; we look for it ourselves",
}
# As `bash: line 3: …`, `dash: 3: …` and busybox' `sh: syntax error: …`.
_COMPLAINT = re.compile(r"^[^:\n]*: (?:line )?(?:(\d+): )?(.*)$", re.MULTILINE)
_OPEN_DOCUMENT = re.compile(
    r"line \d+: warning: here-document at line (\d+) delimited by end-of-file \(wanted `(.*)'\)"
)
_DOCUMENT = re.compile(
    r"^(?P<head>[^\n#]*?<<-?[ \t]*(?P<quote>['\"\\]?)(?P<end>\w+)['\"]?[^\n]*)\n(?P<body>.*?)^[ \t]*(?P=end)$",
    re.MULTILINE | re.DOTALL,
)
_WRITES_TO = re.compile(r">+\s*\"?'?([\w/$.{}-]+)")
_SHEBANG = re.compile(r"#! ?(?:/usr)?/bin/(?:env )?(bash|sh|dash)\b")
# What dash and busybox read otherwise than bash, where neither's `-n` says a word.
_BASHISMS = (
    (re.compile(r"(?:^|[;&|]|\b(?:if|while|until|then|do|else|!))\s*\[\[\s"), "[[ is bash's.", "Write [ … ]."),
    (re.compile(r"^\s*function\s+\w+"), "`function` is bash's.", "Write: name() { … }"),
    (re.compile(r"<<<"), "<<< is bash's.", "Write: printf '%s\\n' \"$value\" | command"),
    (re.compile(r"&>"), "&> is bash's; here it puts the command into the background.", "Write >FILE 2>&1."),
    (re.compile(r"(?:^|[;&|])\s*source\s"), "`source` is bash's.", "Write a dot: . FILE"),
    (
        re.compile(r"(?:^|[;&|])\s*(?:declare|typeset|shopt|mapfile|pushd|popd)\s"),
        "That is a command of bash.",
        "Use sh's.",
    ),
)
_FUNCTION = re.compile(r"^\s*(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\)", re.MULTILINE)
_COMMAND = re.compile(
    r"(?:^|[;&|({`!]|\b(?:if|while|until|then|do|else|elif)(?=\s)|\bexec(?=\s))\s*(?:[A-Za-z_]\w*=[^\s;&|]*\s+)*"
    r"([A-Za-z_][\w.+-]*)(?![\w.+/=-]|\(\)|\s*\))",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script in a file: `first` is the line of the file that its first line stands in."""

    kind: str
    shell: str  # bash or sh
    text: str
    first: int = 1
    what: str = "The script"

    def fault(self, line: int, problem: str, fix: str) -> Fault:
        """A fault in a line of the script, as a line of the file."""
        return Fault(self.kind, self.first + line - 1, problem, fix)


def check(script: Script) -> Iterator[Fault]:
    """Whether the shell reads it to its end, what shellcheck warns of, and the same for the scripts it writes."""
    if len(script.text) > LONGEST:
        yield script.fault(
            1, f"{script.what} is longer than {LONGEST} characters.", "Fetch the data, do not inline it."
        )
        return
    syntax = list(_syntax(script))
    yield from syntax
    if not syntax:
        said = list(_bashisms(script)) if script.shell != "bash" else []
        yield from said
        lines = {fault.line for fault in said}
        yield from (fault for fault in _shellcheck(script) if fault.line not in lines)
    for inner in documents(script):
        yield from check(inner)


def missing_words(script: Script, present: Iterable[str], wrong: dict[str, str]) -> Iterator[Fault]:
    """Commands of `wrong` (word: what to write instead) that are neither present nor a function of the script."""
    text = bare(script.text)
    there = {*present, *_FUNCTION.findall(text)}
    for number, line in enumerate(text.split("\n"), 1):
        for word in _COMMAND.findall(line):
            if word in wrong and word not in there:
                yield script.fault(number, f"There is no {word} in the installer.", wrong[word])


def outside_documents(text: str) -> str:
    """The script's own lines; those of its here-documents are empty, so that numbers stay as they are."""
    return _DOCUMENT.sub(lambda found: found["head"] + "\n" * (found["body"].count("\n") + 1) + found["end"], text)


def documents(script: Script) -> Iterator[Script]:
    """The scripts that a script writes from quoted here-documents."""
    for found in _DOCUMENT.finditer(script.text):
        target = _WRITES_TO.search(found["head"])
        if not found["quote"] or target is None:
            continue
        shebang = _SHEBANG.match(found["body"])
        path = target[1].removeprefix("/target")
        runs = re.search(rf"\b(bash|sh) {re.escape(path)}\b", script.text)
        if not shebang and not runs:
            continue
        name = (shebang or runs or {1: "sh"})[1]
        first = script.first + script.text.count("\n", 0, found.start("body"))
        yield Script(script.kind, "bash" if name == "bash" else "sh", found["body"], first, f"The script {path}")


def _syntax(script: Script) -> Iterator[Fault]:
    for shell in (("bash", "-n"),) if script.shell == "bash" else (("dash", "-n"), ("busybox", "sh", "-n")):
        if installed(shell[0]) is None:
            shell = ("sh", "-n")
        said = judged(shell, script.text)
        if said.status != 0:
            line, why = _complaint(said.err)
            yield script.fault(
                line, f"{script.what} is no {script.shell}: {why}.", "Close what is open there, or quote it."
            )
            return
    if "<<" in script.text and installed("bash") is not None:
        # Every shell takes a document without an end for one that goes on to the last line; only bash says so.
        said = judged(("bash", "-n"), script.text)
        for line, end in _OPEN_DOCUMENT.findall(said.err):
            yield script.fault(int(line), f"A here-document has no end: {end!r} does not come.", f"Add a line: {end}")


def _complaint(said: str) -> tuple[int, str]:
    found = _COMPLAINT.findall(said) or [("", said.strip() or "it cannot be read")]
    line, why = next((each for each in found if each[0]), found[0])
    return int(line or 1), why.strip().rstrip(".")[:200]


def _bashisms(script: Script) -> Iterator[Fault]:
    for number, line in enumerate(bare(script.text).split("\n"), 1):
        for pattern, problem, fix in _BASHISMS:
            if pattern.search(line):
                yield script.fault(number, problem, fix)


def _shellcheck(script: Script) -> Iterator[Fault]:
    if installed("shellcheck") is None:
        _say_once()
        return
    shell = "bash" if script.shell == "bash" else "dash"
    command = (
        "shellcheck", "--norc", "--format=json1", "--severity=warning", f"--shell={shell}",
        f"--exclude={','.join(sorted(IGNORED))}", "-",
    )  # fmt: skip
    try:
        said = judged(command, script.text)
        comments = json.loads(said.out)["comments"]
    except (CheckTooSlow, ValueError, KeyError, TypeError) as error:
        log.warning("shellcheck was left out for a %s: %s", script.kind, error)
        return
    for each in comments:
        code = f"SC{each['code']}"
        yield script.fault(int(each["line"]), f"{str(each['message']).rstrip('.')} ({code}).", _fix(each, code))


def _fix(comment: dict[str, object], code: str) -> str:
    fix = comment.get("fix")
    if isinstance(fix, dict) and isinstance(fix.get("replacements"), list) and fix["replacements"]:
        words = " … ".join(str(each.get("replacement", "")).strip() for each in fix["replacements"][:2])
        return f"Put in: {words}"
    return f"See the wiki of shellcheck on {code}; if it is meant, say above it: # shellcheck disable={code}"


@cache
def _say_once() -> None:
    log.warning("shellcheck is not installed: scripts are checked by the shells' own syntax check only.")


def bare(text: str) -> str:
    """The script without comments, here-documents and what is quoted (but with commands inside "$(…)"), line by line.

    Close enough to tell commands from their arguments; it does not claim to be a shell.
    """
    text = outside_documents(text)
    out: list[str] = []
    modes = ["code"]
    at = 0
    while at < len(text):
        char, pair = text[at], text[at : at + 2]
        if char == "\\":
            out.append("\n" if pair.endswith("\n") else "x")
            at += 2
            continue
        if pair == "$(":
            modes.append("inside")
            out.append(pair)
            at += 2
            continue
        if modes[-1] == "quoted":
            if char == '"':
                modes.pop()
            elif char == "\n":
                out.append(char)
        elif char == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end
            out.append("x" + "\n" * text.count("\n", at, end))
            at = end
        elif char == '"':
            modes.append("quoted")
            out.append("x")
        elif char == "#" and (at == 0 or text[at - 1] in " \t\n;("):
            end = text.find("\n", at)
            at = (len(text) if end < 0 else end) - 1
        else:
            if char == "(" and modes[-1] == "inside":
                modes.append("inside")
            elif char == ")" and modes[-1] == "inside":
                modes.pop()
            out.append(char)
        at += 1
    return "".join(out)
