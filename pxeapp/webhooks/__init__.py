"""Telling other systems what changed: signed, in order, at least once, and never to an address that is not allowed."""
