"""Gates: what must hold before a machine serves again; one file for each kind, composed by all.py."""
