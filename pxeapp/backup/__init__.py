"""Backup and restore: everything that cannot be made again, in one file that says what it holds and proves it."""
