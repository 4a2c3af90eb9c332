"""Import files: what stands there comes out with its line, and junk is refused with a sentence, never an accident."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pxeapp.errors import Invalid
from pxeapp.machines import readers
from pxeapp.machines.records import Record

FORMS = st.sampled_from(sorted(readers.FORMS))
NODE1 = {"name": "node1", "mac": "52:54:00:12:34:56"}


def refused(content: str | bytes, form: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        readers.read(content.encode() if isinstance(content, str) else content, form)
    return caught.value


def attempt(content: bytes, form: str) -> list[Record] | Invalid:
    """The rows or the refusal; everything else that is raised is a bug and fails the test."""
    try:
        return readers.read(content, form)
    except Invalid as error:
        return error


def line_of(error: Invalid) -> int | None:
    [problem] = error.problems
    assert problem.field == "file"
    assert problem.fix
    return problem.line


# -- junk


@given(st.binary(max_size=300), FORMS)
def test_random_bytes_never_raise_anything_but_invalid(content: bytes, form: str) -> None:
    found = attempt(content, form)
    if isinstance(found, Invalid):
        assert found.problems
        assert "\n" not in found.sentence
    else:
        assert all(isinstance(row, Record) for row in found)


ALMOST = st.text(alphabet="[]{}:,-\"'&*!|>%@#\n \tab01.e\\<?~", max_size=80)


@given(ALMOST | ALMOST.map(lambda text: f"[{{{text}}}]") | ALMOST.map(lambda text: f"- {text}"), FORMS)
@example("- !!timestamp x", "yaml")
@example("- {a: !!bool foo}", "yaml")
@example("-\n0", "yaml")
@example('- {a: !!int ""}', "yaml")
@example("- {? [a] : b}", "yaml")
@example("- {<<: 1}", "yaml")
@example("? - a\n: b", "yaml")
@example("- !!python/object/apply:os.system [id]", "yaml")
@example('[{"a": NaN}]', "json")
@example('[{"a": -Infinity}]', "json")
@example('[{"a": ' + "1" * 5000 + "}]", "json")
@example("name,mac\n\x00,\x00", "csv")
@example('name,mac\n"a', "csv")
@example("name,mac,bmc,bmc.address\na,b,c,d", "csv")
def test_almost_files_never_raise_anything_but_invalid(text: str, form: str) -> None:
    found = attempt(text.encode(), form)
    lines = range(1, text.count("\n") + 2)
    if isinstance(found, Invalid):
        assert line_of(found) in lines
    else:
        assert all(row.line in lines for row in found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), max_size=4)


@given(ROWS, st.sampled_from([None, 0, 2]), st.sampled_from(["", "machines", "items"]))
def test_every_json_list_of_objects_is_read_as_it_stands(
    rows: list[dict[str, object]], indent: int | None, holder: str
) -> None:
    content = json.dumps({holder: rows, "next": None} if holder else rows, indent=indent)
    assert [row.values for row in readers.read(content.encode(), "json")] == rows


@given(ALMOST | ALMOST.map(lambda text: f"[{{{text}}}]") | st.text(max_size=50))
@example("[{}] [{}]")
@example("[{}]]")
@example("[{},]")
@example('{"machines": [{}]')
@example('{"machines": [{}]} {}')
def test_json_that_is_read_is_json(text: str) -> None:
    """Two files in one, a torn download: what a strict parser refuses is never half imported."""
    try:
        rows = readers.read(text.encode(), "json")
    except (Invalid, UnicodeEncodeError):
        return
    said = json.loads(text.removeprefix("\ufeff"))
    said = said if isinstance(said, list) else next(iter(said.values()))
    assert [row.values for row in rows] == said


# -- bombs


@pytest.mark.parametrize(
    "content",
    [
        "- " * 100_000,
        "[" * 100_000,
        "- {a: " * 50_000,
        "? " * 100_000,
        "- [" + "[" * 40 + "]" * 41,
    ],
    ids=["block", "flow", "mappings", "keys", "forty"],
)
def test_deep_yaml_is_refused_and_the_process_lives(content: str) -> None:
    assert refused(content, "yaml")


@pytest.mark.parametrize("content", ["[" * 100_000, '[{"a":' + "[" * 100_000, '[{"a":' * 50_000])
def test_deep_json_is_refused(content: str) -> None:
    assert refused(content, "json")


def test_aliases_are_refused_before_they_unfold() -> None:
    laughs = "- &a0 {name: lol}\n" + "".join(
        f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )  # 9**11 values, were it loaded
    error = refused(laughs, "yaml")
    assert "alias" in error.sentence
    assert line_of(error) == 2


def test_more_rows_than_possible_are_refused_as_soon_as_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_ROWS", 3)
    for form, content in {
        "json": json.dumps([NODE1] * 4),
        "yaml": "- {name: a}\n" * 4,
        "csv": "name,mac\n" + "a,b\n" * 4,
    }.items():
        assert "more than 3 rows" in refused(content, form).sentence


def test_a_file_that_is_too_big_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_BYTES", 10)
    assert "10 are possible" in refused(b"x" * 11, "json").sentence


# -- encodings


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", json.dumps([NODE1])),
        ("yaml", "- {name: node1, mac: '52:54:00:12:34:56'}\n"),
        ("csv", "name,mac\nnode1,52:54:00:12:34:56\n"),
    ],
)
def test_a_byte_order_mark_does_no_harm_and_other_encodings_are_refused(form: str, text: str) -> None:
    assert readers.read(text.encode("utf-8-sig"), form)[0].values == NODE1
    assert "not UTF-8" in refused(text.encode("utf-16"), form).sentence
    assert refused(text.encode("utf-16-le"), form)
    assert refused(text.encode("utf-32"), form)


def test_the_line_of_a_wrong_byte_is_named() -> None:
    assert line_of(refused("name,mac\nkühl,x\nmüde,y\n".encode("latin-1"), "csv")) == 2


# -- lines


def test_rows_know_their_lines() -> None:
    yaml_text = "# a comment\nmachines:\n  - name: a\n    mac: x\n\n  - name: b\n"
    assert [row.line for row in readers.read(yaml_text.encode(), "yaml")] == [3, 6]
    assert [row.line for row in readers.read(b'[\n {"name": "a"},\n\n {"name": "b"}]', "json")] == [2, 4]
    csv_text = 'name,mac,vars.note\na,x,"two\nlines"\n\nb,y,\n'
    assert [row.line for row in readers.read(csv_text.encode(), "csv")] == [2, 5]


@pytest.mark.parametrize(
    ("form", "content", "line", "words"),
    [
        ("json", '[\n{"a": 1},\n{"a" 2}]', 3, "not JSON"),
        ("json", '[\n{"a": 1}\n{"a": 2}]', 3, "comma"),
        ("json", '[\n"node1"]', 2, "must be an object"),
        ("json", '{"name": "node1"}', 1, "neither a list nor an object"),
        ("json", '"node1"', 1, "not a list"),
        ("json", "", 1, "not a list"),
        ("json", '[{"a": 1}]\n[{"a": 2}]', 2, "something follows"),
        ("json", '{"items": [],\n"next": }', 1, "what follows"),
        ("yaml", "- name: a\n- [b]\n", 2, "must be an object"),
        ("yaml", "- name: a\n  mac: [\n", 3, "not YAML"),
        ("yaml", "name: node1\nmac: x\n", 1, "not a list"),
        ("yaml", "", 1, "not a list"),
        ("yaml", "- a: 1\n--- \n- a: 2\n", 2, "second document"),
        ("yaml", "- a: 1\n- a: \x07\n", 2, "not YAML"),
        ("yaml", "- a: 1\n- a: !!python/name:os.system x\n", 2, "tag"),
        ("csv", "hostname;mac\na;b\n", 1, "name and mac"),
        ("csv", "", 1, "name and mac"),
        ("csv", "name,mac\na,b\nc\n", 3, "1 columns"),
        ("csv", "name,mac,\na,b,c\n", 2, "without a name"),
        ("csv", "name,mac," + "x" * 10 + ",c" * 300 + "\n", 1, "200 are possible"),
    ],
)
def test_a_broken_file_says_where_and_why(form: str, content: str, line: int, words: str) -> None:
    error = refused(content, form)
    assert words in error.sentence
    assert line_of(error) == line


# -- nothing is lost or changed without a word


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("json", '[{"name": "a", "name": "b"}]'),
        ("json", '[{"name": "a", "vars": {"x": 1, "x": 2}}]'),
        ("yaml", "- name: a\n  name: b\n"),
        ("yaml", "- vars: {x: 1, x: 2}\n"),
        ("csv", "name,mac,name\na,b,c\n"),
    ],
)
def test_a_key_that_stands_twice_is_refused(form: str, content: str) -> None:
    assert "twice" in refused(content, form).sentence


def test_columns_that_exclude_each_other_are_refused() -> None:
    assert "exclude each other" in refused("name,mac,bmc,bmc.address\na,b,c,d\n", "csv").sentence


def test_yaml_keeps_the_text_of_what_is_no_plain_number() -> None:
    """In YAML 1.1 the MAC is a number of base 60, the serial number octal, the country a boolean."""
    content = """
    - name: 0123
      mac: 52:54:00:12:34:56
      serial: 12E45
      vars: {day: 2026-11-24, country: no, hex: 0x1f, quoted: "7", tagged: !!str 7, ratio: 1.5, n: -7, on: true, off: ~}
    """
    [row] = readers.read(content.encode(), "yaml")
    assert row.values == {
        "name": "0123",
        "mac": "52:54:00:12:34:56",
        "serial": "12E45",
        "vars": {
            "day": "2026-11-24", "country": "no", "hex": "0x1f", "quoted": "7", "tagged": "7",
            "ratio": 1.5, "n": -7, "on": True, "off": None,
        },
    }  # fmt: skip


def test_csv_columns_nest_by_dots() -> None:
    content = (
        "name , mac,bmc.address,bmc.port,labels.example.org/rack,labels.room,location.unit,vars.disk.size,"
        "disks.system,disks.data,interface.name,interface.address,serial\n"
        " a ,x,10.0.0.7,623,r1,,7,5,sda,sdb; sdc;,eno1,10.0.0.8,\n"
        "b,y,,,,,,,,,,,\n"
    )
    first, second = readers.read(content.encode(), "csv")
    assert first.values == {
        "name": "a",
        "mac": "x",
        "bmc": {"address": "10.0.0.7", "port": "623"},
        "labels": {"example.org/rack": "r1"},
        "location": {"unit": "7"},
        "vars": {"disk": {"size": "5"}},
        "disks": {"system": "sda", "data": ["sdb", "sdc"]},
        "interfaces": [{"mac": "x", "name": "eno1", "address": "10.0.0.8"}],
    }
    assert second.values == {"name": "b", "mac": "y"}
