"""`make bench`: the product beside its peers, in the same run, in alternation, on this machine.

One file a kind of work; each says what it measures in `works()`. Nothing here asserts a time: a table is written, with
medians, ratios and the number of rounds, and each target beside what was measured.
"""
