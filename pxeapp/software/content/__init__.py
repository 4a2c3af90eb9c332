"""Content: every file of media, mirrors and snapshots once, by its SHA-256, and the trees made of them."""
