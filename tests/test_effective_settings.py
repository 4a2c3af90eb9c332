"""Settings as people read them: each with its value, where that comes from, and never a password."""

from __future__ import annotations

from pathlib import Path

from pxeapp import config
from pxeapp.config import DEFAULTS


def test_each_setting_says_where_it_comes_from_and_hides_the_password_of_a_url(tmp_path: Path) -> None:
    file = tmp_path / "pxeapp.toml"
    file.write_text('installs_at_once = 7\nbmc_networks = ["10.9.0.0/16"]\n')
    environ = {
        "PXEAPP_CONFIG": str(file),
        "PXEAPP_DATA_DIR": str(tmp_path),
        "PXEAPP_DATABASE_URL": "postgresql://pxe:ge/h@im@db.example/pxeapp",
        "PXEAPP_QUEUE_URL": "redis://:geheim@queue.example/0",
    }
    found = {each.variable: each for each in config.effective(config.load(environ), environ)}
    assert set(found) == {f"PXEAPP_{name.upper()}" for name in DEFAULTS}
    assert (found["PXEAPP_INSTALLS_AT_ONCE"].value, found["PXEAPP_INSTALLS_AT_ONCE"].source) == ("7", str(file))
    assert found["PXEAPP_BMC_NETWORKS"].value == "10.9.0.0/16"
    assert (found["PXEAPP_DHCP"].value, found["PXEAPP_DHCP"].source) == ("off", "default")
    assert found["PXEAPP_DATABASE_URL"].source == "environment"
    assert found["PXEAPP_QUEUE_URL"].value == "redis://:***@queue.example/0"
    shown = " ".join(each.value for each in found.values())
    assert "geheim" not in shown
    assert "h@im" not in shown
