"""What a machine and its installer reach by the proxy, and what without it: the site's setting for one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pxeapp.answers.spec import AnswerSpec


@dataclass(frozen=True, slots=True)
class Reach:
    """Only values: a site's own templates are given them too."""

    via: Mapping[str, str]  # by address, keys' too: the installer's proxy, or the empty text
    direct: tuple[str, ...] = ()  # the addresses that the installed system reaches without it
    around: tuple[str, ...] = ()  # its no_proxy
    direct_hosts: tuple[str, ...] = ()  # the same, host by host, for apt

    def words(self) -> list[str]:
        """What an installer's kernel is told when that has a proxy: every program under its systemd has a no_proxy.

        Anaconda and subiquity put their proxy into the environment, and so between their own requests and us. curl
        knows an IPv6 address without brackets, Python with them.
        """
        if not any(self.via.values()):
            return []
        bracketed = [f"[{each}]" for each in self.around if ":" in each and "/" not in each]
        return [f"systemd.setenv=no_proxy={','.join((*self.around, *bracketed))}"]


def reach(spec: AnswerSpec) -> Reach:
    """By the proxy's rules, for every address that an answer file names."""
    release, site = spec.release, spec.site
    urls = (
        release.install_url,
        *([release.archive] if release.archive else []),
        *(each.url for each in release.repositories),
        *(each.url for each in site.repositories),
        *(each.key for each in release.repositories if each.key),
        *(each.key_url for each in site.repositories if each.key_url),
    )
    proxy, appliance = site.proxy, spec.answer_url
    if proxy is None:
        return Reach(dict.fromkeys(urls, ""))
    direct = tuple(url for url in urls if proxy.direct(url, appliance))
    by = proxy.url if proxy.installer else ""
    return Reach(
        {url: "" if url in direct else by for url in urls},
        direct,
        proxy.around(appliance),
        proxy.direct_hosts(appliance, urls),
    )
