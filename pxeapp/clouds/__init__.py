"""OpenStack clouds that the appliance works with: how they are reached, and what runs on a host of theirs."""
