"""What machines ask first: nginx, supervised and configured from what is known, or another server in its place."""
