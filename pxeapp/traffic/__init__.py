"""What clients send: how often they may, and what was answered to a request that comes a second time."""
