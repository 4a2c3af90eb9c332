"""The packages that a network needs in the installed system, so that nobody forgets ifenslave for a bond."""

from __future__ import annotations

from pxeapp.answers import releases
from pxeapp.answers.network import netcfg
from pxeapp.answers.network.plan import NetworkPlan


def needed(plan: NetworkPlan | None, dialect: releases.Dialect) -> tuple[str, ...]:
    """By release; where netplan or NetworkManager is part of the system, nothing."""
    if plan is None:
        return ()
    if isinstance(dialect, releases.Enterprise):
        return dialect.network_packages
    if isinstance(dialect, releases.Subiquity):
        return ()
    return netcfg.packages(plan, uses_netplan=dialect.netplan)
