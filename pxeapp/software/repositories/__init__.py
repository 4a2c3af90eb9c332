"""Repositories that this appliance publishes: local ones, and mirrors of a part of an upstream's."""
