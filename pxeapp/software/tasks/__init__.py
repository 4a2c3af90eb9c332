"""Tasks: long work on software, ordered in one call, done by the software worker, watched and stopped meanwhile."""
