"""Standard media: an ISO of a distribution, recognised, read safely, verified, served as a tree, made a release."""
