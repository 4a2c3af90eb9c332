"""The HTTP proxy, and what is reached without it."""

from __future__ import annotations

from urllib.parse import urlsplit

from netaddr import AddrFormatError, IPAddress, IPNetwork
from pydantic import StrictBool, model_validator

from pxeapp.answers.site.words import Direct, Part, ProxyUrl, Unfit


class Proxy(Part):
    """For the installer, the installed system, or both. The appliance itself is always reached without it."""

    url: ProxyUrl
    no_proxy: tuple[Direct, ...] = ()
    installer: StrictBool = True
    system: StrictBool = True

    @model_validator(mode="after")
    def _is_for_something(self) -> Proxy:
        if not self.installer and not self.system:
            raise Unfit("is for nobody.", "Leave proxy out, or say installer: true or system: true.")
        return self

    def direct(self, url: str, appliance: str) -> bool:
        """Whether an address is reached without the proxy, by the rules of no_proxy."""
        host = urlsplit(url).hostname or ""
        return host == urlsplit(appliance).hostname or any(_covers(each, host) for each in self.no_proxy)

    def around(self, appliance: str) -> tuple[str, ...]:
        """What is reached without it: this machine, the appliance, and what the site says."""
        own = ("localhost", "127.0.0.1", "::1", urlsplit(appliance).hostname or "localhost")
        return tuple(dict.fromkeys((*own, *self.no_proxy)))

    def direct_hosts(self, appliance: str, urls: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts that a package manager without a no_proxy of its own must be told, one by one."""
        hosts = [urlsplit(url).hostname or "" for url in (appliance, *urls) if self.direct(url, appliance)]
        named = [each for each in self.no_proxy if "/" not in each and not each.startswith(".")]
        return tuple(host for host in dict.fromkeys((*hosts, *named)) if host and ":" not in host)

    @property
    def secret(self) -> str:
        """Its user and password, if it has any."""
        return urlsplit(self.url).netloc.rpartition("@")[0]


def _covers(said: str, host: str) -> bool:
    if "/" in said:
        try:
            return IPAddress(host) in IPNetwork(said)
        except (AddrFormatError, ValueError):
            return False
    return host == said.removeprefix(".") or host.endswith(f".{said.removeprefix('.')}")
