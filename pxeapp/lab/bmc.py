"""One BMC per machine: OpenIPMI's `ipmi_sim`, configured to act on the machine's chassis."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from pxeapp.errors import Unavailable
from pxeapp.lab.machine import Places
from pxeapp.lab.spec import MachineSpec

PORT = 623
SENSORS = (  # number, IPMI type, name, unit, value
    (1, "Temperature", "Inlet Temp", "degrees_C", 23),
    (2, "Temperature", "CPU Temp", "degrees_C", 41),
    (3, "Fan", "Fan 1", "RPM", 120),
)
SENSOR_TYPES = {"Temperature": 0x01, "Fan": 0x04}
FRU_LENGTH = 256
NO_EVENTS = " ".join(["0" * 15] * 4)

# What ipmi_sim calls for every question and command. It waits for the answer, so this must be quick: no site-packages,
# no environment, a handful of imports.
CONTROL = """#!{python} -SE
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(5)
sock.connect({path!r})
sock.sendall((" ".join(sys.argv[1:]) + "\\n").encode())
wanted = len(sys.argv) - 2 if sys.argv[1] == "get" else 1
answer = b""
while answer.count(b"\\n") < wanted:
    piece = sock.recv(4096)
    if not piece:
        break
    answer += piece
if sys.argv[1] == "get":
    sys.stdout.write(answer.decode())
"""

LAN = """name "{name}"
set_working_mc 0x20
startlan 1
  addr {address} {port}
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid {guid}
endlan
chassis_control "{control}"
sol "tcp:127.0.0.1:{sol_port}" 115200
user 1 true "" "test" user 10 none md2 md5 straight
user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""


def write(spec: MachineSpec, places: Places, sol_port: int) -> list[str]:
    """Write the BMC's files and return the command line that runs it."""
    program = shutil.which("ipmi_sim")
    if program is None:
        raise Unavailable("ipmi_sim is not installed.", hint="Install the package openipmi.")
    folder = places.folder / "bmc"
    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "control"
    control.write_text(CONTROL.format(python=sys.executable, path=str(places.chassis)))
    control.chmod(0o755)
    lan = folder / "lan.conf"
    lan.write_text(
        LAN.format(
            name=spec.name,
            address=spec.bmc_address,
            port=PORT,
            guid=uuid.UUID(spec.uuid).hex,
            control=control,
            sol_port=sol_port,
            user=spec.bmc_user,
            password=spec.bmc_password,
        )
    )
    lan.chmod(0o600)
    emulation = folder / "bmc.emu"
    emulation.write_text(_emulation(folder))
    (folder / "fru.bin").write_bytes(_fru(spec))
    _compile_sensors(folder, spec.name)
    return [program, "-n", "-c", str(lan), "-f", str(emulation), "-s", str(folder / "state")]


def _emulation(folder: Path) -> str:
    lines = [
        "mc_setbmc 0x20",
        "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr",
        "sel_enable 0x20 1000 0x0a",
        f'mc_add_fru_data 0x20 0 {FRU_LENGTH} file 0 "{folder / "fru.bin"}"',
    ]
    for number, kind, _name, _unit, value in SENSORS:
        reading = folder / f"sensor{number}"
        reading.write_text(f"{value}\n")
        lines.append(f'sensor_add 0x20 0 {number} {SENSOR_TYPES[kind]} 1 poll 1000 file "{reading}"')
        lines.append(f"sensor_set_event_support 0x20 0 {number} enable scanning per-state {NO_EVENTS}")
    lines.append("mc_enable 0x20")
    return "\n".join(lines) + "\n"


def _compile_sensors(folder: Path, name: str) -> None:
    """The sensors' descriptions, where ipmi_sim keeps its own."""
    source = folder / "sensors.sdrs"
    source.write_text("\n".join(_sdr(*sensor[:4]) for sensor in SENSORS))
    target = folder / "state" / "ipmi_sim" / name / "sdr.20.main"
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["sdrcomp", "-o", str(target), str(source)], capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        raise Unavailable(f"sdrcomp failed: {done.stderr.strip()}")


def _sdr(number: int, kind: str, name: str, unit: str) -> str:
    fields = {
        "sensor_owner_id": "0x20",
        "sensor_owner_lun": "0",
        "channel_number": "0",
        "sensor_number": str(number),
        "entity_id": "system_board",
        "entity_instance": "1",
        "init_scanning": "true",
        "init_sensor_type": "true",
        "default_sensor_scan_on": "true",
        "sensor_type": kind,
        "event_reading_type_code": "1",
        "analog_data_format": "unsigned",
        "rate_unit": "none",
        "modifier_unit": "none",
        "percentage": "false",
        "base_unit": unit,
        "modifier_unit_code": "unspecified",
        "linearization": "linear",
        "m": "50" if unit == "RPM" else "1",
        "tolerance": "0",
        "b": "0",
        "accuracy": "1",
        "accuracy_exp": "0",
        "sensor_direction": "input",
        "r_exp": "0",
        "b_exp": "0",
        "sensor_maximum": "255",
        "sensor_minimum": "0",
        "id_string": f'"{name}"',
    }
    return "sdr type 1\n" + "".join(f"\t{field}\t{value}\n" for field, value in fields.items()) + "endsdr\n"


def _fru(spec: MachineSpec) -> bytes:
    """A FRU with a product area (IPMI Platform Management FRU Information Storage, 1.0, section 12)."""
    fields = b"".join(
        bytes([0xC0 | len(text)]) + text
        for text in (b"pxeapp", b"Virtual rack", b"VR1", b"1", spec.serial.encode()[:30])
    )
    area = bytes([1, 0, 25]) + fields + bytes([0xC0, 0xC0, 0xC1])
    area += b"\0" * (-(len(area) + 1) % 8)
    area = bytes([area[0], (len(area) + 1) // 8]) + area[2:]
    area += bytes([-sum(area) & 0xFF])
    header = bytes([1, 0, 0, 0, 1, 0, 0])
    return (header + bytes([-sum(header) & 0xFF]) + area).ljust(FRU_LENGTH, b"\0")
