"""The peers' own processes: how each is installed from its package and started where it disturbs nothing."""
