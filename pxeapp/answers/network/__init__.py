"""The network of a machine, expressed once: what is said, what it means here, and what each installer reads."""
