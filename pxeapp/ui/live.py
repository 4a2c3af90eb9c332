"""Live pages: `GET /live/TOPICS` tells a browser, as server-sent events, what has changed since it last looked.

Topics are `machines`, `deployments`, `sightings`, `rollouts`, `software`, `machine-ID` and `rollout-ID`, several with
commas between. An event names its topic and says "fetch your part again", nothing else, so that a stream holds nothing
that a later question would refuse.
One thread per process looks at a few counters in the database, once a second and only while somebody listens; the
sockets are carried by streams.py. The number behind `id:` is a moment: who reconnects with it (Last-Event-ID), or
begins with `?since=`, is told at once of whatever changed after it. Every stream is checked against the accounts every
few seconds; one whose session has ended, whose user is disabled or has got other projects gets `bye` and is closed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Hashable, Iterable, Set
from dataclasses import dataclass, field

from flask import current_app, request
from flask.blueprints import BlueprintSetupState
from flask.sansio.app import App
from flask.typing import ResponseReturnValue
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pxeapp.accounts import scope
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.scope import Projects
from pxeapp.api.context import actor
from pxeapp.api.guard import Credential, credential
from pxeapp.audit import AuditRow
from pxeapp.bmc.models import BmcOrder
from pxeapp.db import Database, now
from pxeapp.errors import NotFound
from pxeapp.machines.models import Event, Machine, Sighting
from pxeapp.provisioning.models import Deployment
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.streams import Stream, answer
from pxeapp.ui.blueprint import bp
from pxeapp.watching import Watch

LIVE = "pxeapp.live"
OVERLAP_MS = 3000  # a change is told once too often rather than not at all: clocks and commits are not that exact
MOST_TOPICS = 200
TOPIC = re.compile(r"machines|deployments|sightings|rollouts|software|(machine|rollout)-[1-9][0-9]{0,17}")


@dataclass(eq=False, slots=True)
class Listener:
    """One browser, what it listens for, and whom it belongs to."""

    stream: Stream
    topics: frozenset[str]
    credential: Credential
    projects: Projects


@dataclass(slots=True)
class Seen:
    """What was there at the last look, by topic; and when a topic last changed."""

    marks: dict[str, Hashable] = field(default_factory=dict)
    changed_ms: dict[str, int] = field(default_factory=dict)

    def begin(self, found: dict[str, Hashable], at_ms: int) -> None:
        """Topics that nobody listened for until now: whatever happened to them before, we did not see."""
        for topic, mark in found.items():
            if topic not in self.marks:
                self.marks[topic] = mark
                self.changed_ms[topic] = at_ms

    def compare(self, found: dict[str, Hashable], at_ms: int, *, keep: frozenset[str]) -> set[str]:
        """The topics that changed; those that nobody listens for any more are forgotten."""
        changed = {topic for topic, mark in found.items() if topic in self.marks and self.marks[topic] != mark}
        self.begin(found, at_ms)
        self.marks.update(found)
        self.changed_ms.update(dict.fromkeys(changed, at_ms))
        for topic in self.marks.keys() - keep:
            del self.marks[topic], self.changed_ms[topic]
        return changed

    def missed(self, topics: Iterable[str], since_ms: int) -> list[str]:
        """Which of the topics may have changed after a moment."""
        return sorted(each for each in topics if self.changed_ms.get(each, since_ms) >= since_ms - OVERLAP_MS)


class Live:
    """What the pages of one process listen for; looked at while anybody does, see watching.py."""

    def __init__(self, database: Database, whose: Callable[[Session, Credential], Actor | None]) -> None:
        self._database = database
        self._whose = whose
        self._watch: Watch[Listener] = Watch("live", self._look, on_idle=self._forget)
        self._seen = Seen()  # under the watch's lock
        self._sums: Hashable = None

    def listen(self, topics: frozenset[str], who: Credential, by: Actor, since_ms: int | None) -> Stream:
        """A stream of what changes from now on, or from a moment of before."""
        listener: Listener
        stream = Stream(owner=by.label, on_close=lambda: self._watch.discard(listener))
        listener = Listener(stream, topics, who, by.projects)
        # What a topic looks like is noted before its listener is told that it listens: nothing falls between.
        with self._database.read() as session:
            found = marks(session, topics, self._sums)
        moment = _ms(now())
        with self._watch.lock:
            self._seen.begin(found, moment)
            told = self._seen.missed(topics, moment + OVERLAP_MS + 1 if since_ms is None else since_ms)
            stream.send(b"retry: 2000\n" + _events(told, _ms(now())))
            self._watch.add(listener)
        return stream

    def _forget(self) -> None:
        """What changes while nobody listens is not seen."""
        self._seen = Seen()

    def _look(self, listeners: list[Listener], *, check: bool) -> None:
        topics = frozenset().union(*(each.topics for each in listeners))
        with self._database.read() as session:
            if check and "machines" in topics:
                self._sums = machine_sums(session)
            found = marks(session, topics, self._sums)
            ended = self._ended(session, listeners) if check else frozenset()
        moment = _ms(now())
        with self._watch.lock:
            keep = frozenset().union(*(each.topics for each in self._watch.present()))
            changed = self._seen.compare(found, moment, keep=keep)
        for each in listeners:
            if each in ended:
                each.stream.send(b"event: bye\ndata: 1\n\n")
                each.stream.close()
            elif told := sorted(changed & each.topics):
                each.stream.send(_events(told, moment))

    def _ended(self, session: Session, listeners: list[Listener]) -> frozenset[Listener]:
        """Whom it would be refused now, or who may see other machines by now; asked once, however many tabs."""
        found = {each: self._whose(session, each) for each in {one.credential for one in listeners}}
        who = ((each, found[each.credential]) for each in listeners)
        return frozenset(each for each, by in who if by is None or by.projects != each.projects)


def marks(session: Session, topics: Iterable[str], sums: Hashable = None) -> dict[str, Hashable]:
    """What each topic looks like now: equal to what it was as long as nothing has changed. A few small queries.

    Whatever somebody does to a machine writes a line of the audit, whatever happens to it an event: their last numbers
    cost nothing to read. `sums` are over all machines, and looked at less often, see `machine_sums`.
    """
    wanted = set(topics)
    found: dict[str, Hashable] = {}
    if "machines" in wanted:
        found["machines"] = (*(session.scalar(select(func.max(each))) for each in LAST), sums)
    if any(topic.startswith("rollout") for topic in wanted):
        found.update(_rollouts(session, wanted))
    if "software" in wanted:
        found["software"] = tuple(tuple(row) for row in session.execute(TASKS))
    numbers = [int(topic.partition("-")[2]) for topic in wanted if topic.startswith("machine-")]
    running = _running(session) if "deployments" in wanted or numbers else {}
    if "deployments" in wanted:
        found["deployments"] = (session.scalar(select(func.max(Deployment.id))), tuple(sorted(running.items())))
    if numbers:
        states: dict[int, Hashable] = {
            row[0]: tuple(row) for row in session.execute(ONE.where(Machine.id.in_(numbers)))
        }
        last = select(Event.machine_id, func.max(Event.id)).where(Event.machine_id.in_(numbers))
        events = {row[0]: row[1] for row in session.execute(last.group_by(Event.machine_id))}
        asked = {row[0]: tuple(row[1:]) for row in session.execute(ASKED.where(BmcOrder.machine_id.in_(numbers)))}
        for each in numbers:
            found[f"machine-{each}"] = (states.get(each), events.get(each), running.get(each), asked.get(each))
    if "sightings" in wanted:
        latest = session.execute(STRANGER.limit(1)).first()
        found["sightings"] = (tuple(latest) if latest else None, session.scalar(select(func.max(Machine.id))))
    return {topic: found[topic] for topic in wanted if topic in found}


def _rollouts(session: Session, wanted: Set[str]) -> dict[str, Hashable]:
    """All of them, and each that somebody looks at: every step writes a line of its course, and what each machine in
    hand says is a few rows."""
    latest = session.scalar(select(func.max(RolloutEvent.id)))
    open_ones: dict[int, Hashable] = {row[0]: tuple(row) for row in session.execute(OPEN_ROLLOUTS)}
    found: dict[str, Hashable] = {"rollouts": (latest, tuple(open_ones.values()))}
    numbers = [int(topic.partition("-")[2]) for topic in wanted if topic.startswith("rollout-")]
    if not numbers:
        return found
    events = select(RolloutEvent.rollout_id, func.max(RolloutEvent.id)).where(RolloutEvent.rollout_id.in_(numbers))
    last = {row[0]: row[1] for row in session.execute(events.group_by(RolloutEvent.rollout_id))}
    hands: dict[int, list[Hashable]] = {}
    for number, *said in session.execute(IN_HAND.where(RolloutMember.rollout_id.in_(numbers))):
        hands.setdefault(number, []).append(tuple(said))
    for each in numbers:
        found[f"rollout-{each}"] = (open_ones.get(each), last.get(each), tuple(hands.get(each, ())))
    return found


def machine_sums(session: Session) -> Hashable:
    """Sees a change of any machine, its power too, without a row for each; reads all of 10,000 rows in some 20 ms.

    A version only counts up, and a power state weighs its machine's number.
    """
    power = case({"on": 1, "off": 2}, value=Machine.power, else_=3)
    return tuple(session.execute(select(func.count(), func.sum(Machine.version), func.sum(power * Machine.id))).one())


LAST = (Event.id, AuditRow.id, Machine.id)
ONE = select(Machine.id, Machine.version, Machine.power, Machine.updated_at)
# An order to a BMC begins, and ends with what it brought.
ASKED = select(BmcOrder.machine_id, func.max(BmcOrder.id), func.max(BmcOrder.finished_at)).group_by(BmcOrder.machine_id)
OPEN_ROLLOUTS = (
    select(Rollout.id, Rollout.state, Rollout.says, Rollout.wave, Rollout.version)
    .where(Rollout.finished_at.is_(None))
    .order_by(Rollout.id)
)
IN_HAND = (
    select(RolloutMember.rollout_id, RolloutMember.id, RolloutMember.step, RolloutMember.says)
    .where(RolloutMember.state == "running")
    .order_by(RolloutMember.id)
)
TASKS = (  # the latest say when one was ordered or has ended, those under way how far they are
    select(SoftwareTask.id, SoftwareTask.finished_at, SoftwareTask.cancelled, SoftwareTask.done, SoftwareTask.says)
    .order_by(SoftwareTask.id.desc())
    .limit(20)
)
STRANGER = (  # by the index of last_seen
    select(Sighting.mac, Sighting.last_seen).where(Sighting.machine_id.is_(None)).order_by(Sighting.last_seen.desc())
)


def _running(session: Session) -> dict[int, Hashable]:
    """The deployments under way, by machine."""
    found = select(Deployment.machine_id, Deployment.id, Deployment.step, Deployment.progress, Deployment.frozen).where(
        Deployment.outcome.is_(None)
    )
    return {row[0]: tuple(row[1:]) for row in session.execute(found)}


def _events(topics: Iterable[str], at_ms: int) -> bytes:
    """On the wire. The comment keeps an answer without events from being empty."""
    told = "".join(f"id: {at_ms}\nevent: {topic}\ndata: 1\n\n" for topic in topics)
    return (told or f"id: {at_ms}\n:\n\n").encode()


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


@bp.record_once
def _one_each(state: BlueprintSetupState) -> None:
    begin(state.app)


def begin(app: App) -> None:
    """Each application has its own, over its context's database."""
    database = app.extensions["pxeapp"].database
    app.extensions[LIVE] = Live(database, lambda session, who: who.whose(session, now(), "ui.live"))


@bp.get("/live/<name>")
def live(name: str) -> ResponseReturnValue:
    """The stream of some topics."""
    topics = frozenset(name.split(","))
    if len(topics) > MOST_TOPICS or not all(map(TOPIC.fullmatch, topics)):
        raise NotFound("There is no such topic.", hint="See docs/pages.md for those there are.")
    since = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    since_ms = int(since) if since.isascii() and since.isdigit() and len(since) < 16 else None
    own: Live = current_app.extensions[LIVE]
    return answer(own.listen(_theirs(topics), credential(), actor(), since_ms), request.environ)


def _theirs(topics: frozenset[str]) -> frozenset[str]:
    """Without machines that whoever asks may not see, and without strangers, who are in no project.

    `machines`, `deployments` and `rollouts` stay, and say of all of them that something has changed: to ask each second
    what has changed of some would cost too much.
    """
    if scope.present() is None:
        return topics
    asked = [int(topic.partition("-")[2]) for topic in topics if topic.startswith("machine-")]
    rolling = [int(topic.partition("-")[2]) for topic in topics if topic.startswith("rollout-")]
    with current_app.extensions["pxeapp"].database.read() as session:
        theirs = session.scalars(select(Machine.id).where(Machine.id.in_(asked))).all()  # narrowed, as every query is
        whole = session.scalars(select(Rollout.id).where(Rollout.id.in_(rolling))).all()
    kept = topics & {"machines", "deployments", "rollouts", "software"}
    return kept | {f"machine-{each}" for each in theirs} | {f"rollout-{each}" for each in whole}


@bp.app_template_global("made")
def made() -> int:
    """When a page was made: its first question to /live begins there."""
    return _ms(now())
