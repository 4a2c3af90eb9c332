"""The pull-through cache: upstreams as operators configure them, index sets that are whole, and what was asked."""
