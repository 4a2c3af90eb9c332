"""Mirrors of a selected part of an upstream: what is wanted, what that needs, fetched, verified and kept."""
