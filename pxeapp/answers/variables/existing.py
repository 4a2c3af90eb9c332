"""Time zones, locales and keyboards that exist: a misspelt one would be found only by whoever sits at the machine.

Zones are tz's own list; locales are CLDR's and glibc's; keyboards are told by their first part, by which X, the console
and Debian's installer name a country or a maker: us, de-latin1, br-abnt2.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterable
from functools import cache

from babel.localedata import locale_identifiers

from pxeapp.answers.variables.schema import Problem

NO_ZONES = frozenset({"localtime", "build/etc/localtime"})  # files beside the zones
# Of glibc (2.36 to 2.42), beyond those of CLDR.
GLIBC = """
    C agr_PE anp_IN ar_IN ayc_PE ber_DZ ber_MA bhb_IN bho_NP bi_VU cmn_TW crh_UA csb_PL eu_FR fy_DE gbm_IN gv_GB hak_TW
    hif_FJ hne_IN ia_FR ik_CA iw_IL kv_RU li_BE li_NL ltg_LV lzh_TW mag_IN mai_NP mhr_RU miq_NI mjw_IN mnw_MM nan_TW
    nhn_MX niu_NU niu_NZ quz_PE sgs_LT shs_CA sm_WS ssy_ER tcy_IN the_NP tl_PH tok unm_US yi_US yuw_PG
"""
# The layouts of xkb-data 2.35.
XKB = """
    us af ara al am at au az by be bd in ba br bg dz ma cm mm ca cd cn hr cz dk nl bt ee ir iq fo fi fr gh gn ge de gr
    hu is il it jp kg kh kz la latam lt lv mao me mk mt mn no pl pt ro ru rs si sk es se ch sy tj lk th tr tw ua gb uz
    vn kr ie pk mv za epo np ng et sn brai tm ml tz tg ke bw ph md id jv my nz custom
"""
# Of kbd and of console-setup, beyond those of X.
CONSOLE = """
    adnw amiga applkey arabic asturian atari azerty bashkir bepo bone bywin carpalx cf colemak croat ctrl cyrillic
    defkeymap dvorak emacs esperanto euro fa hebrew kazakh khmer koy ky kyrgyz lo mac mobii neo pc pinyin ruwin sg
    slovene sr sun sundvorak sunkeymap sunt sv tralt trf trq ttwin uk unicode wangbe windowkeys workman
"""


def zone(value: str) -> Iterable[Problem]:
    """tz's list comes with us, in case that the host has none."""
    known = _zones()
    if known and value not in known:
        yield f"{value!r} is no time zone.", _meant(value, known, "Write it as Europe/Rome.")


def locale(value: str) -> Iterable[Problem]:
    """Whether its language is spoken there; the character set is the system's matter."""
    known = _locales()
    if value.partition(".")[0] not in known:
        fix = "Write it as en_US.UTF-8."
        yield f"{value!r} is no locale.", _meant(value.partition(".")[0], known, fix)


def keyboard(value: str) -> Iterable[Problem]:
    """Variants have many names, and each installer has its own; whose keyboard it is, everybody says alike."""
    first = re.split(r"[^a-z]", value.lower(), maxsplit=1)[0]
    if first not in _keyboards():
        yield f"{value!r} is no keyboard's layout.", _meant(first, _keyboards(), "Write it as us or de.")


def _meant(value: str, known: Iterable[str], otherwise: str) -> str:
    small = {each.lower(): each for each in sorted(known)}
    near = difflib.get_close_matches(value.lower(), small, n=1, cutoff=0.75)
    return f"Did you mean {small[near[0]]}?" if near else otherwise


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - NO_ZONES


@cache
def _locales() -> frozenset[str]:
    """Language and country, and the language alone; CLDR also tells scripts, which glibc does not."""
    found = set(GLIBC.split())
    for name in locale_identifiers():
        language, *others = name.split("_")
        found.add(language)
        if others and re.fullmatch("[A-Z]{2}", others[-1]):
            found.add(f"{language}_{others[-1]}")
    return frozenset(found)


@cache
def _keyboards() -> frozenset[str]:
    return frozenset((*XKB.split(), *CONSOLE.split()))
