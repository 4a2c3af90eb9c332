"""Reports over the real `pxeapp node`: a hundred at once, disordered, of an older attempt, odd; one transition each."""

from __future__ import annotations

import gzip
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.db import now as present
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Event
from pxeapp.provisioning import lifecycle, steps, tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import Rack, built
from tests.provisioning.test_node_process import Node, running
from tests.sweep import size

pytestmark = pytest.mark.network
AT_ONCE = 100
TRANSITIONS = {str(step) for step in Step}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("storm")
    with built(folder) as rack, running(rack, folder / "node.log") as found:
        yield found


@pytest.fixture
def node(process: Node) -> Node:
    """The process with a new attempt on node1, so that no test sees what another one reported."""
    rack = process.rack
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        if machine.state == State.DEPLOYING:
            lifecycle.abort(session, machine, requested_by="user:ada", now=present())
    number = rack.deploy()
    rack.work(number)
    return replace(process, number=number, callback=f"/c/{secret(rack, number, tokens.CALLBACK)}")


def secret(rack: Rack, number: int, scope: str) -> str:
    with rack.provisioner.database.read() as session:
        return tokens.derive(rack.provisioner.vault, session.get_one(Deployment, number), scope)


def timeline(node: Node, number: int | None = None) -> Counter[str]:
    """How often each step stands in the timeline of an attempt."""
    with node.rack.provisioner.database.read() as session:
        kinds = session.scalars(select(Event.kind).where(Event.deployment_id == (number or node.number)))
        return Counter(kind for kind in kinds if kind in TRANSITIONS)


def at_once(node: Node, bodies: list[bytes]) -> list[int]:
    """All of them at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(bodies))

    def send(body: bytes) -> int:
        start.wait()
        return node.request("POST", f"{node.callback}/events", body)

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


def said(event: str, message: str = "") -> bytes:
    return json.dumps({"event": event, "message": message}).encode()


def test_a_report_that_comes_a_hundred_times_at_once_is_one_transition(node: Node) -> None:
    for event, step in (
        ("started", Step.INSTALLING),
        ("installed", Step.INSTALLED),
        ("first_boot", Step.FIRST_BOOT),
    ):
        assert set(at_once(node, [said(event)] * AT_ONCE)) == {200}
        assert node.rack.step(node.number) == step
        assert timeline(node)[step] == 1
    entries = [entry["step"] for entry in node.rack.deployment(node.number).steps]
    assert len(entries) == len(set(entries))


def test_a_failure_that_comes_a_hundred_times_at_once_ends_the_attempt_once(node: Node) -> None:
    assert set(at_once(node, [said("failed", "no disk")] * AT_ONCE)) == {200}
    with node.rack.provisioner.database.read() as session:
        failed = select(Event).where(Event.kind == "deploy failed", Event.deployment_id == node.number)
        ended = session.scalars(failed).all()
    assert len(ended) == 1
    assert node.rack.deployment(node.number).outcome == "failed"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(size(2, 50)))
def test_whatever_order_reports_come_in_at_once_each_step_is_reached_once_and_none_goes_back(
    node: Node, seed: int
) -> None:
    reports = [said(event) for event in ("started", "progress", "installed", "first_boot") for _ in range(16)]
    random.Random(seed).shuffle(reports)
    assert set(at_once(node, reports)) == {200}
    row = node.rack.deployment(node.number)
    assert row.step == Step.FIRST_BOOT
    ranks = [steps.rank(entry["step"]) for entry in row.steps]
    assert ranks == sorted(set(ranks)), "forwards only, and each once"
    assert max(timeline(node).values()) == 1


def test_reports_of_an_older_attempt_are_answered_and_move_nothing(node: Node) -> None:
    assert node.report("failed") == 200
    second = node.rack.deploy()
    node.rack.work(second)
    before = node.rack.step(second)
    assert set(at_once(node, [said(event) for event in ("started", "installed", "first_boot") for _ in range(20)])) == {
        200
    }
    assert node.rack.step(second) == before
    assert timeline(node, second).keys() <= {step for step in Step if steps.rank(step) <= steps.rank(before)}


ODD = {
    "oversized": b'{"event": "installed", "message": "' + b"x" * 300_000 + b'"}',
    "deep": b'{"event": ' + b"[" * 7000 + b"]" * 7000 + b"}",
    "compressed": gzip.compress(said("installed")),
    "binary": bytes(range(256)) * 8,
    "cut": said("installed")[:-5],
    "twice": said("installed") * 2,
}


def test_odd_reports_in_a_crowd_of_good_ones_are_refused_and_delay_nobody(node: Node) -> None:
    crowd = [body for body in ODD.values() for _ in range(8)] + [said("started")] * 48
    replies = at_once(node, crowd)
    odd = len(ODD) * 8
    # 0 is what a client sees whose body is still on its way when it is refused.
    assert set(replies[:odd]) <= {400, 413, 422}
    assert set(replies[odd:]) == {200}
    assert node.rack.step(node.number) == Step.INSTALLING
    assert timeline(node)[Step.INSTALLED] == 0


def test_reports_that_trickle_in_count_when_they_are_whole_and_hold_up_nobody(node: Node) -> None:
    body = said("started")
    head = b"POST %s/events HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (node.callback.encode(), len(body))
    slow = [node.connect() for _ in range(60)]
    try:
        for place in range(0, len(head + body) - 1, 12):
            for sock in slow:
                sock.sendall((head + body)[place : min(place + 12, len(head + body) - 1)])
            assert node.request("GET", "/healthz") == 200
        assert timeline(node)[Step.INSTALLING] == 0, "none of them is whole"
        for sock in slow:
            sock.sendall((head + body)[-1:])
        assert {sock.recv(4000)[9:12] for sock in slow} == {b"200"}
    finally:
        for sock in slow:
            sock.close()
    assert timeline(node)[Step.INSTALLING] == 1


def test_what_was_answered_is_there_after_the_process_was_killed(node: Node, tmp_path: Path) -> None:
    with running(node.rack, tmp_path / "first.log", number=node.number) as first:
        assert first.report("started") == 200
        first.kill()
    with running(node.rack, tmp_path / "second.log", number=node.number) as again:
        assert again.rack.step(node.number) == Step.INSTALLING
        assert again.report("installed") == 200
    assert timeline(node)[Step.INSTALLING] == timeline(node)[Step.INSTALLED] == 1


def test_answer_files_asked_for_at_once_are_counted_one_by_one(node: Node) -> None:
    """However many come together, a token is good for so many fetches and no more; all of them get the same bytes."""
    path = f"/a/{secret(node.rack, node.number, tokens.CONFIG)}/kickstart"
    crowd = tokens.CONFIG_FETCHES * 3
    start = threading.Barrier(crowd)

    def fetch(_: int) -> int:
        start.wait()
        return node.request("GET", path)

    with ThreadPoolExecutor(crowd) as pool:
        replies = Counter(pool.map(fetch, range(crowd)))
    assert replies == {200: tokens.CONFIG_FETCHES, 404: crowd - tokens.CONFIG_FETCHES}
    assert timeline(node)[Step.ANSWER_FETCHED] == 1


def test_reports_go_on_while_another_process_holds_the_database_for_a_while(node: Node) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with node.rack.provisioner.database.write():
            held.set()
            free.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(node.report, "started") for _ in range(8)]
            time.sleep(2)
            assert not any(each.done() for each in waiting), "nothing is answered before it is committed"
            free.set()
            assert {each.result() for each in waiting} == {200}
    finally:
        free.set()
        holder.join()
    assert timeline(node)[Step.INSTALLING] == 1
