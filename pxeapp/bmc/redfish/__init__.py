"""Redfish: what a BMC says over HTTPS. The resources are read by sushy, over a connection of our own (link.py)."""
