"""Bundles: releases, snapshots, boot programs and templates in one signed file, for where no network leads."""
