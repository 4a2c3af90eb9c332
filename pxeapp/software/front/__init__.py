"""What machines ask first: nginx, supervised and configured from what is known, and what others may put in its place."""
