"""iPXE scripts. Pure: what to boot in, text out.

iPXE has no quoting: it expands `${...}` anywhere, takes `#` before a word as a comment and the words `;`, `&&` and
`||` as command separators. What it would change is refused, not escaped.
"""

from __future__ import annotations

import re

from pxeapp.boot import firmware
from pxeapp.boot.spec import MAX_COMMAND_LINE, BadBootValue, Boot, InstallBoot, plain, too_long, words
from pxeapp.templates import Templates

ATTEMPTS = 5
PAUSE_SECONDS = 3

_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~+/-]*)?")
_SEPARATORS = {";", "&&", "||"}


def render(boot: Boot, templates: Templates, *, node_url: str, report_identity: bool = False) -> str:
    """The script for one machine.

    With `report_identity` it first asks for its own URL again with serial, UUID and make in the query, for clients
    whose DHCP server gave them the short URL; the handler knows that request by its `seen=1`.
    """
    check_url(node_url)
    identity_url = f"{firmware.ipxe_url(node_url)}&seen=1" if report_identity else ""
    if isinstance(boot, InstallBoot):
        return templates.render(
            "boot/install.ipxe",
            machine=boot.machine,
            mac=boot.mac,
            release=boot.release,
            kernel_url=f"{node_url}/{boot.kernel}",
            initrd_urls=[f"{node_url}/{initrd}" for initrd in boot.initrds],
            command_line=_command_line(boot),
            identity_url=identity_url,
            local_disk_url=_local_disk_url(node_url),
            attempts=ATTEMPTS,
            pause_seconds=PAUSE_SECONDS,
        )
    return templates.render_or_ours(
        "boot/local.ipxe",
        reason=plain(boot.reason),
        identity_url=identity_url,
        local_disk_url=_local_disk_url(node_url),
    )


def render_autoexec(templates: Templates, *, node_url: str) -> str:
    """`autoexec.ipxe`, the same for every machine: it fetches the machine's own script."""
    check_url(node_url)
    return templates.render_or_ours(
        "boot/autoexec.ipxe",
        script_url=firmware.ipxe_url(node_url),
        local_disk_url=_local_disk_url(node_url),
        attempts=ATTEMPTS,
        pause_seconds=PAUSE_SECONDS,
    )


def check_url(url: str) -> None:
    """Refuse a base URL that iPXE, GRUB or dnsmasq would not read as one word."""
    if not _URL.fullmatch(url) or url.endswith("/"):
        raise BadBootValue("node_url", f"{url!r} cannot go into a boot script.", "Write http://HOST:PORT.")


def _local_disk_url(node_url: str) -> str:
    return f"{node_url}/{firmware.HTTP_LOADERS}/{firmware.LOCAL_DISK_PROGRAM}"


def _command_line(boot: InstallBoot) -> str:
    """The kernel's command line. UEFI kernels find their initrds only when `initrd=` names them."""
    for word in words(boot.args):
        if "${" in word:
            raise BadBootValue(
                "args", f"iPXE would expand the ${{}} in {word!r}.", "Take it out; iPXE cannot quote it."
            )
        if word in _SEPARATORS or word.startswith("#"):
            raise BadBootValue("args", f"iPXE would end the command at {word!r}.", "Take it out; iPXE cannot quote it.")
        if "  " in word:
            raise BadBootValue("args", f"iPXE would squeeze the blanks in {word!r}.", "Use single blanks.")
    line = " ".join((*words(boot.args), *(f"initrd=initrd{number}" for number, _ in enumerate(boot.initrds))))
    if len(line) > MAX_COMMAND_LINE:
        raise too_long(len(line), MAX_COMMAND_LINE)
    return line
