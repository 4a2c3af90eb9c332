"""Accounts: users, roles, tokens and the one permission table over all routes."""
