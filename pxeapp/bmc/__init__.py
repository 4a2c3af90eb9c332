"""BMCs: one small port per capability, IPMI and a fake behind them, and the worker that alone moves hardware."""
