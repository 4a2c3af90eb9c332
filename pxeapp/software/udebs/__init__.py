"""Debian installer components (udebs): is the mirror whole, and if not, how is the installer made whole.

Many mirrors (company proxies, apt caches) carry every .deb but not all .udebs; the installer then loops for ever on
the first missing one. `plan` says what an installation needs and what is missing; `build` makes a small suite of its
own: what the mirror has, checked, and the rest repacked from the very .debs it is built from.
"""
