"""Machines out of NetBox: its devices, their cards, BMCs, racks and units, by its REST interface."""
