"""`pxeapp ssh`: the same rules as the API, and nothing but public keys in what it prints."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from pxeapp.cli import main
from pxeapp.nodes import keys
from pxeapp.vault import open_vault

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHIr4iWNUgqtWxfJOBth5WKd8MjpzEH9L0e9fiCNiDTx"


def test_host_keys_are_recorded_from_what_was_read_on_the_machine_shown_and_forgotten(tmp_path: Path) -> None:
    environ = {"PXEAPP_DATA_DIR": str(tmp_path), "HOME": str(tmp_path)}

    def run(*words: str, given: str = "", fails: bool = False) -> Result:
        done = CliRunner().invoke(main, list(words), env=environ, input=given)
        assert (done.exit_code != 0) is fails, done.output
        return done

    run("db", "upgrade")
    (tmp_path / "m.csv").write_text("name,mac\nm1,52:54:00:00:00:01\n")
    run("machine", "import", str(tmp_path / "m.csv"))
    assert "No host key is known" in run("ssh", "show", "m1").output
    assert "is not an ssh public key" in run("ssh", "record", "m1", given="nonsense\n", fails=True).output
    assert "There is no key in it" in run("ssh", "record", "m1", given="\n", fails=True).output
    told = run("ssh", "record", "m1", "--address", "10.0.0.7", "--user", "root", given=f"{KEY} root@m1\n\n").output
    assert "m1: root at 10.0.0.7 port 22" in told
    assert keys.fingerprint(KEY) in told
    shown = json.loads(run("ssh", "show", "m1", "--json").output)
    assert [each["key"] for each in shown["host_keys"]] == [KEY]
    assert "Nothing was done" in run("ssh", "forget", "m1", fails=True).output
    run("ssh", "forget", "m1", "--yes")
    assert "No host key is known" in run("ssh", "show", "m1").output
    assert run("ssh", "key").output.strip() == keys.public_key(open_vault(tmp_path))
