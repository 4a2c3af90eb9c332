"""Swift's rings on running nodes: weights in the builder files of one machine, and the rings on all of them alike."""
