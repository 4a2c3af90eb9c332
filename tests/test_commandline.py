"""What commands print: every text to the letter, whoever wrote it."""

from __future__ import annotations

import pytest

from pxeapp.commandline import agree, counting, print_table, working
from pxeapp.errors import Conflict

HOSTILE = (
    "PSU [/x]",
    "Fan [cpu1]",
    r"Slot \[a]",
    r"end\\",
    "[bold]Temp",
    ":warning: hot",
    "[link=http://x/]here[/link]",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_printed_to_the_letter(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("IT", "OF"), [(text, "[V]")])
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["IT", "OF"]
    assert row.rstrip() == f"{text}  [V]"


def test_in_a_pipe_a_long_row_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "HELP"), [("one", "word " * 100), ("two", "")])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAME", "one", "two"]


def test_without_a_terminal_nothing_is_done_unasked_and_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Conflict, match=r"Everything is erased\..*Add --yes"):
        agree("Everything is erased.", yes=False)
    agree("Everything is erased.", yes=True)
    with working("Working ..."), counting("Counting") as count:
        count(1, 2)
    assert capsys.readouterr() == ("", "")
