"""What the tests of a running rack need; where it is missing they are skipped, and say why."""

from __future__ import annotations

import os
import shutil

import pytest

RACK = [
    pytest.mark.qemu,
    pytest.mark.ipmi_sim,
    pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="ipmi_sim (package openipmi) is not installed"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
    pytest.mark.skipif(not os.access("/dev/net/tun", os.W_OK), reason="/dev/net/tun cannot be used here"),
]
APPLIANCE = [*RACK, pytest.mark.dnsmasq, pytest.mark.nginx]
