"""Installed machines over ssh: the appliance's own key, the host keys that are pinned, commands, and jobs."""
