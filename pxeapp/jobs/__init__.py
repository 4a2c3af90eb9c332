"""Jobs: work on many machines that was ordered in one call, reported machine by machine."""
