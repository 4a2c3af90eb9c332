"""How much of the host a site's template may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """For one rendering. A kickstart needs milliseconds; dnsmasq.conf for ten thousand machines, a part of a second."""

    cpu_s: float = 2.0
    wall_s: float = 60.0  # on a host with thirty busy processes, two seconds of computing take that long
    memory: int = 128 * 1024 * 1024  # bytes, beyond what the renderer has before it begins
    output: int = 4 * 1024 * 1024  # characters
    templates: int = 200  # that one rendering may ask for
    renders: int = 200  # then a renderer is replaced by a fresh one
