"""MAC addresses: any spelling in, one out; and nothing but Invalid for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.errors import Invalid
from pxeapp.machines import mac as macs

OURS = "52:54:00:ab:0c:5e"


@st.composite
def unicast(draw: st.DrawFn) -> bytes:
    octets = draw(st.binary(min_size=6, max_size=6))
    return bytes([octets[0] & 0xFE, *octets[1:5], octets[5] | 1])


def spellings(octets: bytes) -> list[str]:
    """Every way in which vendors, switches and databases write one MAC."""
    pairs = [f"{octet:02x}" for octet in octets]
    bare = "".join(pairs)
    words = [bare[0:4], bare[4:8], bare[8:12]]
    return [
        ":".join(pairs),
        "-".join(pairs),
        ":".join(f"{octet:x}" for octet in octets),
        ".".join(words),
        ":".join(words),
        "-".join(words),
        f"{bare[:6]}-{bare[6:]}",
        f"{bare[:6]}:{bare[6:]}",
        bare,
    ]


@given(unicast(), st.integers(0, 8), st.booleans(), st.sampled_from(["", " ", "\t", "\n"]))
def test_every_spelling_becomes_the_same_one(octets: bytes, index: int, upper: bool, around: str) -> None:
    text = spellings(octets)[index]
    found = macs.normalise(around + (text.upper() if upper else text) + around)
    assert found == ":".join(f"{octet:02x}" for octet in octets)
    assert macs.normalise(found) == found


@given(st.text() | st.text(alphabet="0123456789abcdefABCDEF:-. gx", max_size=20))
def test_junk_never_raises_anything_but_invalid(text: str) -> None:
    found = macs.parse_or_none(text)
    if found is not None:
        assert macs.normalise(text) == found
        assert len(found) == 17
        assert int(found[:2], 16) & 1 == 0
        return
    with pytest.raises(Invalid) as caught:
        macs.normalise(text)
    assert caught.value.hint
    assert caught.value.problems[0].field == "mac"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "24567890123",  # eleven digits: one is missing, and which one is not ours to guess
        "41135085296",
        "100000000000000",
        "5254:00:1234",
        "52:54:00:ab:0c",
        "52:54-00:ab:0c:5e",
        "52:54:00:ab:0c:5e:01",
        "52:54:00:ab:0c:5g",
        "５２:54:00:ab:0c:5e",
        "525400-ab0c5",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
    ],
)
def test_what_no_card_can_have_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        macs.normalise(text, field="interfaces.mac")
    assert caught.value.problems[0].field == "interfaces.mac"


def test_a_long_stranger_is_not_repeated_whole() -> None:
    with pytest.raises(Invalid) as caught:
        macs.normalise("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_pxelinux_spelling_is_made_from_ours() -> None:
    assert macs.dashed(macs.normalise("5254.00ab.0c5e")) == "01-52-54-00-ab-0c-5e"
    assert macs.parse_or_none("52-54-00-AB-0C-5E") == OURS
