"""The keys of an autoinstall document, each with what it may hold and since when.

Made by hand from subiquity's autoinstall reference, from the code of the installer on each release's media and from
netplan's reference. The installer itself passes over an unknown key without a word; we do not.
"""

from __future__ import annotations

from pxeapp.answers.checks.shapes import Anything, Either, Flag, Items, Key, Keys, Nothing, Number, Shape, Text

URL = Text(r"https?://[^\s\"'<>\\]+", fix="Write http://host/path.")
COMMANDS = Items(Either((Text(r"(?s).*\S.*"), Items(Text(), 1))))
MAC = Text(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", fix="Write it as 52:54:00:00:00:01, in quotes.")
PACKAGE = Text(r"[a-z0-9][a-z0-9+.:-]*(=[A-Za-z0-9.+~:-]+|\^|/[a-z-]+)?", fix="Write a package's name.")
HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
SIZE = Either(
    (Number(1), Number(-1, -1), Text(r"-1|[0-9]+(\.[0-9]+)?[KMGT]?(iB|B)?|[0-9]{1,3}%", fix="Write 10G, 50% or -1."))
)

MATCH_ONE = Keys(
    {
        "serial": Text(), "model": Text(), "vendor": Text(), "path": Text(r"/dev/\S+", fix="Write /dev/..."),
        "id_path": Key(Text(), "24.04"), "devpath": Key(Text(), "24.04"), "ssd": Flag(),
        "size": Text(choices=("largest", "smallest")), "install-media": Flag(),
    }
)  # fmt: skip
MATCH = Either((MATCH_ONE, Items(MATCH_ONE, 1)))

LAYOUT = Keys(
    {
        "name": Text(choices=("direct", "lvm", "zfs", "hybrid", "dd")),
        "match": MATCH,
        "sizing-policy": Key(Text(choices=("scaled", "all")), "22.04"),
        "ptable": Key(Text(choices=("gpt", "msdos")), "24.04"),
        "password": Text(),
        "encrypted": Flag(),
        "reset-partition": Either((Flag(), SIZE)),
        "reset-partition-only": Flag(),
    },
    required=("name",),
)
STORAGE = Keys(
    {
        "layout": LAYOUT,
        "config": Items(Keys({"type": Text(), "id": Text()}, ("type", "id"), others=Anything()), 1),
        "version": Number(1, 2),
        "swap": Keys({"size": Either((Number(), Text())), "filename": Text(), "maxsize": Either((Number(), Text()))}),
        "grub": Keys(others=Anything()),
    }
)

ROUTE = Keys(
    {
        "to": Text(),
        "via": Text(),
        "from": Text(),
        "metric": Number(),
        "on-link": Flag(),
        "table": Number(),
        "type": Text(),
    },
    ("to",),
)
DEVICE: dict[str, Shape | Key] = {
    "dhcp4": Flag(), "dhcp6": Flag(), "accept-ra": Flag(), "addresses": Items(Anything()), "gateway4": Text(),
    "gateway6": Text(), "nameservers": Keys({"addresses": Items(Text()), "search": Items(Text())}),
    "routes": Items(ROUTE),
    "mtu": Number(68, 65535), "optional": Flag(), "critical": Flag(), "macaddress": MAC, "link-local": Items(Text()),
    "dhcp4-overrides": Keys(others=Anything()), "dhcp6-overrides": Keys(others=Anything()), "dhcp-identifier": Text(),
    "routing-policy": Items(Anything()), "renderer": Text(choices=("networkd", "NetworkManager")), "wakeonlan": Flag(),
    "ignore-carrier": Flag(), "ipv6-privacy": Flag(), "ipv6-mtu": Number(1280, 65535),
    "optional-addresses": Items(Text()),
}  # fmt: skip
PARAMETERS = Keys(others=Anything())
ETHERNET = Keys(
    {
        **DEVICE,
        "match": Keys({"macaddress": MAC, "name": Text(), "driver": Either((Text(), Items(Text())))}),
        "set-name": Text(r"[A-Za-z0-9._-]{1,15}", fix="A name has at most 15 letters, digits, dots and dashes."),
        "virtual-function-count": Number(),
    }
)
BOND = Keys({**DEVICE, "interfaces": Items(Text()), "parameters": PARAMETERS})
VLAN = Keys({**DEVICE, "id": Number(1, 4094), "link": Text()}, ("id", "link"))
NETWORK = Keys(
    {
        "version": Number(2, 2),
        "renderer": Text(choices=("networkd", "NetworkManager")),
        "ethernets": Keys(others=ETHERNET),
        "bonds": Keys(others=BOND),
        "bridges": Keys(others=BOND),
        "vlans": Keys(others=VLAN),
        "tunnels": Keys(others=Anything()),
        "wifis": Keys(others=Anything()),
    },
    required=("version",),
)

ARCHIVE = Keys({"arches": Items(Text()), "uri": URL, "search": Items(URL), "search_dns": Flag()})
CANDIDATE = Either((Keys({"uri": URL, "arches": Items(Text())}, ("uri",)), Text(choices=("country-mirror",))))
SOURCE = Keys(
    {"source": Text(), "key": Text(), "keyid": Text(), "keyserver": Text(), "filename": Text(), "append": Flag()}
)
APT = Keys(
    {
        "geoip": Flag(),
        "preserve_sources_list": Flag(),
        "primary": Items(ARCHIVE, 1),
        "security": Items(ARCHIVE, 1),
        "mirror-selection": Key(Keys({"primary": Items(CANDIDATE, 1)}), "24.04"),
        "fallback": Key(Text(choices=("abort", "offline-install", "continue-anyway")), "24.04"),
        "sources": Keys(others=SOURCE),
        "preferences": Items(Keys({"package": Text(), "pin": Text(), "pin-priority": Number(-1000, 10000)})),
        "disable_components": Items(Text(choices=("universe", "multiverse", "restricted", "contrib", "non-free"))),
        "disable_suites": Items(Text()),
        "sources_list": Text(),
        "debconf_selections": Keys(others=Text()),
        "conf": Text(),
        "proxy": URL,
        "http_proxy": URL,
        "https_proxy": URL,
        "add_apt_repo_match": Text(),
    }
)  # fmt: skip
# What cloud-init itself checks at the first boot, and the installer from 22.04 on before it installs: an unknown key
# would end the installation. Only those that make sense in an installed machine.
USER_DATA = Keys(
    {
        "hostname": Text(HOST), "fqdn": Text(HOST), "preserve_hostname": Flag(), "prefer_fqdn_over_hostname": Flag(),
        "manage_etc_hosts": Either((Flag(), Text(choices=("localhost", "template")))),
        "timezone": Text(r"[A-Za-z0-9][A-Za-z0-9_+/-]*"), "locale": Text(), "keyboard": Keys(others=Text()),
        "users": Items(Either((Text(), Keys(others=Anything())))), "groups": Anything(), "user": Anything(),
        "disable_root": Flag(), "ssh_pwauth": Either((Flag(), Text())), "ssh_authorized_keys": Items(Text()),
        "ssh_deletekeys": Flag(), "ssh_genkeytypes": Items(Text()), "ssh_keys": Keys(others=Text()),
        "chpasswd": Keys(others=Anything()), "password": Text(), "ntp": Keys(others=Anything()),
        "apt": Keys(others=Anything()),
        "package_update": Flag(), "package_upgrade": Flag(), "packages": Items(Anything()), "snap": Anything(),
        "write_files": Items(Keys(others=Anything())), "runcmd": Items(Anything()), "bootcmd": Items(Anything()),
        "ca_certs": Keys(others=Anything()), "ca-certs": Keys(others=Anything()), "mounts": Items(Anything()),
        "swap": Keys(others=Anything()), "growpart": Keys(others=Anything()), "resize_rootfs": Anything(),
        "power_state": Keys(others=Anything()), "phone_home": Keys(others=Anything()), "final_message": Text(),
        "salt_minion": Keys(others=Anything()), "puppet": Keys(others=Anything()), "ansible": Keys(others=Anything()),
        "rsyslog": Anything(), "resolv_conf": Keys(others=Anything()), "manage_resolv_conf": Flag(),
        "yum_repos": Anything(),
        "disk_setup": Keys(others=Anything()), "fs_setup": Items(Anything()), "random_seed": Keys(others=Anything()),
    }
)  # fmt: skip

AUTOINSTALL = Keys(
    {
        "version": Number(1, 1),
        "refresh-installer": Keys({"update": Flag(), "channel": Text()}),
        "reporting": Keys(
            others=Keys(
                {
                    "type": Text(choices=("print", "rsyslog", "webhook", "none", "log", "journald")),
                    "endpoint": URL,
                    "level": Text(choices=("DEBUG", "INFO", "WARN", "WARNING", "ERROR")),
                    "destination": Text(), "consumer_key": Text(), "consumer_secret": Text(), "token_key": Text(),
                    "token_secret": Text(), "timeout": Number(1), "retries": Anything(),
                },
                ("type",),
            )
        ),
        "early-commands": COMMANDS,
        "late-commands": COMMANDS,
        "error-commands": COMMANDS,
        "locale": Text(r"[A-Za-z0-9_.@-]+", fix="Write it as en_US.UTF-8."),
        "keyboard": Keys(
            {"layout": Text(r"\S+"), "variant": Text(), "toggle": Either((Text(), Nothing()))}, ("layout",)
        ),
        "source": Key(Keys({"id": Text(), "search_drivers": Key(Flag(), "22.04")}), "22.04"),
        "network": Either((NETWORK, Keys({"network": NETWORK}, ("network",)))),
        "proxy": Either((URL, Nothing())),
        "apt": APT,
        "storage": STORAGE,
        "identity": Keys(
            {
                "hostname": Text(HOST), "username": Text(r"[a-z_][a-z0-9_-]{0,31}"), "password": Text(r"[^\s:]+"),
                "realname": Text(), "groups": Key(Anything(), "26.04"),
            },
            ("hostname", "username", "password"),
        ),
        "active-directory": Keys({"admin-name": Text(), "domain-name": Text()}),
        "ubuntu-pro": Key(Keys({"token": Text()}), "22.04"),
        "ssh": Keys({"install-server": Flag(), "allow-pw": Flag(), "authorized-keys": Items(Text(r"\S+ \S.*"))}),
        "codecs": Keys({"install": Flag()}),
        "drivers": Keys({"install": Flag()}),
        "oem": Keys({"install": Either((Flag(), Text(choices=("auto",))))}),
        "snaps": Items(Keys({"name": Text(), "channel": Text(), "classic": Flag()}, ("name",))),
        "debconf-selections": Text(),
        "packages": Items(PACKAGE),
        "kernel": Keys({"package": Text(), "flavor": Text()}),
        "kernel-crash-dumps": Key(Keys({"enabled": Either((Flag(), Nothing()))}), "24.04"),
        "timezone": Text(),
        "updates": Text(choices=("security", "all")),
        "shutdown": Text(choices=("reboot", "poweroff")),
        "user-data": USER_DATA,
        "interactive-sections": Items(Text()),
        "zdevs": Items(Anything()),
    },
    required=("version",),
)  # fmt: skip
# Beside `autoinstall`, cloud-init does these in the live session.
LIVE_SESSION = Keys({"autoinstall": Anything(), **USER_DATA.known})
