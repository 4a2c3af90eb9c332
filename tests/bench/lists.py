"""The list of 10,000 machines, as the API and as the page: plain, narrowed, searched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

from tests.bench.rounds import Contender, Figures, Target, Work, quantile
from tests.bench.serving import load
from tests.bench.serving.appliance import ADDRESS, Appliance, Processes

MACHINES = 10_000
# What is asked, and how many machines the answer must hold.
API = (
    ("/api/v1/machines", 100),
    ("/api/v1/machines?after=node05000", 100),
    ("/api/v1/machines?state=active", 100),
    ("/api/v1/machines?label=rack%3Dr42", 100),
    ("/api/v1/machines?search=0777", 11),
    ("/api/v1/machines?search=SN0004321", 1),
    (f"/api/v1/machines?search={quote('52:54:00:00:10')}", 100),
    ("/api/v1/machines?search=nothing-has-this-name", 0),
)
PAGES = (
    "/machines", "/machines?after=node05000", "/machines?state=active", "/machines?search=0777",
    "/machines?search=nothing-has-this-name",
)  # fmt: skip


def works(*, quick: bool) -> list[Work]:
    """Two works over the same rows: the API's pages and the HTML page, one request after the other."""
    times = 5 if quick else 40
    api, pages = _Lists(times=times), _Lists(times=times)
    notes = [f"{MACHINES} machines with two cards, two disks and variables each; pages of 100; all of `pxeapp serve`."]
    return [
        Work(
            name="lists-api",
            title="A page of 10,000 machines by the API: list, filter, search",
            contenders=[Contender("pxeapp", api.of_the_api)],
            targets=[Target("p99 ms", at_most=100, says="p99 under 100 ms per page")],
            rounds=1 if quick else 3,
            prepared=api.prepared,
            notes=notes,
        ),
        Work(
            name="lists-page",
            title="A page of 10,000 machines in the browser: list, filter, search",
            contenders=[Contender("pxeapp", pages.of_the_browser)],
            targets=[Target("p99 ms", at_most=100, says="p99 under 100 ms per page")],
            rounds=1 if quick else 3,
            prepared=pages.prepared,
            notes=notes,
        ),
    ]


class _Lists:
    def __init__(self, *, times: int) -> None:
        self._times = times
        self._appliance: Appliance
        self._processes: Processes
        self._token = ""

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The whole appliance, and somebody who may look."""
        with ExitStack() as stack:
            self._appliance = Appliance(machines=MACHINES)
            stack.callback(self._appliance.close)
            self._processes = stack.enter_context(self._appliance.whole())
            self._token = self._appliance.operators_token()
            yield

    def of_the_api(self) -> Figures:
        """Every kind of question, each asked often."""

        def check(number: int, reply: load.Reply) -> None:
            wanted = API[number % len(API)][1]
            found = len(json.loads(reply.body)["items"])
            assert found == wanted, f"{API[number % len(API)][0]}: {found} machines instead of {wanted}"

        return self._ask([path for path, _ in API], check)

    def of_the_browser(self) -> Figures:
        """The page that operators look at all day."""

        def check(_number: int, reply: load.Reply) -> None:
            assert b"</html>" in reply.body

        return self._ask(list(PAGES), check)

    def _ask(self, paths: list[str], check: Callable[[int, load.Reply], None]) -> Figures:
        address = (ADDRESS, self._appliance.web_port)
        requests = [load.get(path, token=self._token) for path in paths] * self._times
        load.storm(address, requests[: 4 * len(paths)], clients=2)  # both workers have seen each of them
        before = self._processes.cpu_s()
        replies = load.storm(address, requests, clients=1)
        used = self._processes.cpu_s() - before
        for number, reply in enumerate(replies):
            assert reply.status == 200, f"{paths[number % len(paths)]}: {reply.status}"
            check(number, reply)
        seconds = [reply.seconds for reply in replies]
        of_each = [quantile(seconds[place :: len(paths)], 0.5) for place in range(len(paths))]
        return {
            "p50 ms": quantile(seconds, 0.5) * 1000,
            "p99 ms": quantile(seconds, 0.99) * 1000,
            "CPU ms": used / len(replies) * 1000,
            "p50 ms of the slowest question": max(of_each) * 1000,
        }
