"""Machines and BMCs by the hundred, simulated in one process, speaking the real protocols over the wire."""
