"""CSV that no spreadsheet runs."""

from __future__ import annotations

import csv

import pytest

from pxeapp import csv_text


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_would_be_a_formula_has_an_apostrophe_before_it(cell: str) -> None:
    (row,) = csv.reader([csv_text.lines([[cell, "plain"]])])
    assert row[0].startswith("'")
    assert row[1] == "plain"


def test_every_row_is_a_line_with_what_has_to_be_quoted_in_quotes() -> None:
    assert csv_text.lines([["a", "b"], ["1,2", 'say "so"'], ["", "x"]]) == 'a,b\r\n"1,2","say ""so"""\r\n,x\r\n'
    assert csv_text.lines([]) == ""
