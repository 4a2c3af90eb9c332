"""A cloud's APIs through openstacksdk: who we are, where each service is, and one request at a time.

Requests are made by hand on openstacksdk's adapters, which sign in, renew the token and find the endpoint: of its own
methods several take no notice of an error (removing a router from an agent) or choose another microversion for each
cloud, and what is done to a host that serves must be the same everywhere.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import keystoneauth1.exceptions as wrong
import openstack.exceptions
from keystoneauth1 import session as keystone
from keystoneauth1.identity import v3
from netaddr import IPNetwork
from openstack.connection import Connection

from pxeapp.clouds import guarded
from pxeapp.clouds.access import Access
from pxeapp.clouds.errors import CloudAway, CloudRefused, CloudSaysNo

COMPUTE, VOLUME, NETWORK = "compute", "block-storage", "network"
WORDS = {COMPUTE: "Nova", VOLUME: "Cinder", NETWORK: "Neutron"}
NOVA = "2.79"  # Train: the oldest that OpenStack still had when the oldest series we install was made
PAGE = 500
NOT_NOW = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
    }
)  # fmt: skip


class CloudApi:
    """One cloud, as one thread uses it."""

    def __init__(self, access: Access, networks: Sequence[IPNetwork]) -> None:
        self.name = access.name
        self._access = access
        self.clock: dt.datetime | None = None  # of the last answer, by the cloud's own clock
        self._guarded = guarded.Guarded(networks, access.ca)
        self._auth = _who(access)
        self._session = keystone.Session(
            auth=self._auth,
            session=guarded.session(self._guarded),
            timeout=guarded.SILENCE_S,
            app_name="pxeapp",
        )
        self._connection = Connection(
            session=self._session, region_name=access.region or None, interface=access.interface
        )

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Everything that is asked meanwhile is answered by then, or raises CloudAway. Gives: whether half is left."""
        begun = time.monotonic()
        self._guarded.until = begun + seconds
        try:
            yield lambda: time.monotonic() < begun + seconds / 2
        finally:
            self._guarded.until = None

    def has(self, service: str) -> bool:
        """Whether it is in the catalogue at all, for us."""
        known = self._asking(lambda: self._auth.get_access(self._session))
        found = known.service_catalog.get_endpoints_data(
            service_type=service, interface=self._access.interface, region_name=self._access.region or None
        )
        return any(found.values())

    def services(self) -> list[str]:
        """What the catalogue has."""
        known = self._asking(lambda: self._auth.get_access(self._session))
        return sorted(each["type"] for each in known.service_catalog.catalog)

    def get(self, service: str, path: str, **query: Any) -> Any:
        """What is there."""
        return self._request(service, "GET", path, params=query)

    def post(self, service: str, path: str, body: Any) -> Any:
        """Do something to it."""
        return self._request(service, "POST", path, json=body)

    def put(self, service: str, path: str, body: Any) -> Any:
        """Set it."""
        return self._request(service, "PUT", path, json=body)

    def delete(self, service: str, path: str) -> Any:
        """Take it away."""
        return self._request(service, "DELETE", path)

    def every(self, service: str, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        marker: dict[str, str] = {}
        while True:
            page = self.get(service, path, limit=PAGE, **query, **marker)[key]
            found += page
            if len(page) < PAGE or page[-1]["id"] == marker.get("marker"):
                return found
            marker = {"marker": page[-1]["id"]}

    def _request(self, service: str, method: str, path: str, **said: Any) -> Any:
        if service == COMPUTE:
            said["microversion"] = NOVA
        proxy = {COMPUTE: "compute", VOLUME: "block_storage", NETWORK: "network"}[service]
        answer = self._asking(lambda: getattr(self._connection, proxy).request(path, method, raise_exc=False, **said))
        self._look_at_clock(answer.headers.get("Date", ""))
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(service, method, path, answer.status_code, answer.content)
        if not answer.content:
            return None
        try:
            return json.loads(answer.content)
        except ValueError:
            raise CloudAway(f"{WORDS[service]} of {self.name} answers something that is no JSON.") from None

    def _asking(self, ask: Any) -> Any:
        """Turn what keystoneauth and openstacksdk raise into our sentences."""
        try:
            return ask()
        except wrong.SSLError as error:
            raise CloudRefused(
                f"The certificate of {self.name} is not trusted: {_short(error)}",
                hint="Give the cloud the certificate of its authority: ca.",
            ) from None
        except (wrong.ConnectionError, wrong.DiscoveryFailure) as error:
            raise CloudAway(f"{self.name} does not answer: {_short(error)}") from None
        except (wrong.Unauthorized, wrong.Forbidden) as error:
            raise CloudRefused(
                f"{self.name} does not let us in: {_short(error)}", hint=f"See: pxeapp cloud check {self.name}"
            ) from None
        except wrong.HttpError as error:
            if error.http_status in NOT_NOW:
                raise CloudAway(f"Keystone of {self.name} answers {error.http_status}.") from None
            raise CloudRefused(f"Keystone of {self.name} says: {_short(error)}") from None
        except wrong.ClientException as error:  # no such endpoint, no such region, a catalogue without it
            raise CloudRefused(f"{self.name}: {_short(error)}") from None
        except openstack.exceptions.ConfigException as error:  # openstacksdk's own words for the same
            raise CloudRefused(f"{self.name}: {_short(error)}") from None
        except openstack.exceptions.SDKException as error:
            raise CloudAway(f"{self.name}: {_short(error)}") from None

    def _refusal(self, service: str, method: str, path: str, code: int, content: bytes) -> Exception:
        who = f"{WORDS[service]} of {self.name}"
        said = _message(content)
        if code in NOT_NOW:
            return CloudAway(f"{who} answers {code}: {said}")
        if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return CloudRefused(
                f"{who} does not let us do this ({method} {path[:100]}): {said}",
                hint="The user of the cloud needs the role admin.",
            )
        if code == HTTPStatus.NOT_ACCEPTABLE and service == COMPUTE:
            return CloudRefused(f"{who} is older than the microversion {NOVA} (Train).")
        return CloudSaysNo(f"{who} says: {said}", code=code)

    def _look_at_clock(self, text: str) -> None:
        try:
            self.clock = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError):
            self.clock = None


def _who(access: Access) -> v3.Password | v3.ApplicationCredential:
    if access.application_credential:
        return v3.ApplicationCredential(
            access.auth_url,
            application_credential_id=access.application_credential,
            application_credential_secret=access.secret,
        )
    return v3.Password(
        access.auth_url,
        username=access.username,
        password=access.secret,
        user_domain_name=access.user_domain,
        project_name=access.project,
        project_domain_name=access.project_domain,
    )


def _message(content: bytes) -> str:
    """The sentence of an OpenStack error: {"badRequest": {"message": ...}} or {"NeutronError": {"message": ...}}."""
    try:
        said = json.loads(content)
        inner = next(iter(said.values()))
        text = inner["message"] if isinstance(inner, Mapping) else inner
    except (ValueError, AttributeError, StopIteration, KeyError, TypeError):
        text = content.decode(errors="replace")
    return _short(text) or "nothing more."


def _short(said: object) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(said))
    return " ".join(text.split())[:300]
