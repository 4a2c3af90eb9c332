"""What is done to a machine, a step a file; each is looked at again and again until it is done (see port.py)."""
