"""Rollouts: a patch, a reinstallation or a reboot, rolled over machines that serve, wave by wave."""
