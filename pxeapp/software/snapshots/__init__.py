"""Snapshots: what repositories held at a moment, for ever; channels that lead to one; and what is pinned to either."""
