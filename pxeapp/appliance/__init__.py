"""What the appliance knows of itself: whether it may move anything, and what time it believed it to be."""
