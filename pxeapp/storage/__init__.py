"""The database as a file on a disk or a server on a network: what can go wrong with it, and how it is copied."""
