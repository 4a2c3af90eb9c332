"""Machines: what we know of each server, its lifecycle, and how it is found and imported."""
