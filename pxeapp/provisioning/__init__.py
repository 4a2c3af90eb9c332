"""Provisioning: composes machine, BMC, boot, answers and software into deployments, and talks to the machines."""
