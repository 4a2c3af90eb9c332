"""Variables for what every shop has: proxies, users, certificates, files. What each may hold: pxeapp/answers/site."""

from __future__ import annotations

from functools import partial

from pxeapp.answers import site
from pxeapp.answers.variables.schema import Variable


def _setting(name: str, help: str, type: str = "any", **more: object) -> Variable:  # noqa: A002 - as Variable calls them
    parts = site.SECRETS.get(name)
    return Variable(name, type, help, check=partial(site.check, name), parts=parts, **more)  # type: ignore[arg-type]


SITE: tuple[Variable, ...] = (
    _setting("proxy", "The HTTP proxy: its URL, or {url, no_proxy, installer, system}."),
    _setting("repositories", "Package repositories beside the release's: a list of {name, url, key, priority, ...}."),
    _setting("users", "Users: a list of {name, groups, sudo, password_hash, ssh_authorized_keys, shell, uid}."),
    _setting(
        "selinux", "SELinux, where the system has it.", "choice",
        choices=("enforcing", "permissive", "disabled"), default="enforcing",
    ),
    _setting("apparmor", "AppArmor: true installs it; not said, as the system does.", "boolean"),
    _setting("firewall", "on, off, or {ports: [8080/tcp]}: ssh is always open. Not said: on for EL, none for Debian."),
    _setting("serial_console", "Of installer, kernel and getty: ttyS1,115200; false for none. Not said: ttyS0,115200."),
    _setting("kernel_args", "Arguments for the installed system's kernel: a list.", "list", items="text", default=[]),
    _setting("installer_kernel_args", "The same for the installer's kernel.", "list", items="text", default=[]),
    _setting("kernel_modules_blacklist", "Modules that are never loaded.", "list", items="text", default=[]),
    _setting("sysctl", 'Kernel settings: {"vm.swappiness": 10}.', "object", default={}),
    _setting("packages_remove", "Packages that must not be there.", "list", items="text", default=[]),
    _setting("pre_scripts", "Scripts in the installer before it looks at disks: {name, content, on_failure}."),
    _setting("post_scripts", "Scripts in the installed system, at the end: a list of {name, content, on_failure}."),
    _setting("files", "Files of the installed system: a list of {path, content, mode, owner, secret}."),
    _setting("ca_certificates", "Certificate authorities to trust: a list of {name, pem}."),
    _setting("handover", "Who takes the machine over: {tool: salt|puppet|ansible|none, server, ...}."),
    _setting(
        "boot_order", "What UEFI firmware tries first after the installation.", "choice",
        choices=("network-first", "disk-first"), default="network-first",
    ),
    _setting("keep_ssh_host_keys", "Whether the ssh host keys outlive a reinstallation.", "boolean", default=False),
    _setting(
        "installer_logs", "When installers send their logs.", "choice",
        choices=("always", "failure", "never"), default="failure",
    ),
    _setting(
        "remote_access", "Whether the appliance may sign in by ssh and become root, as rollouts need it.", "boolean",
        default=False,
    ),
    _setting(
        "remote_access_from", "The addresses or networks from which it may; empty: from anywhere.", "list",
        items="text", default=[],
    ),
    _setting("remote_syslog", "Where installers send their log while they work, by UDP: HOST, or HOST:PORT."),
)  # fmt: skip
