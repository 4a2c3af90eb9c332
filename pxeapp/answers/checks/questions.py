"""Questions that a catalogue may lack: our own short table, for a mirror without udebs and for Ubuntu's old installer.

Sources: Debian's Installation Guide, appendix B (preseeding); Ubuntu's installation guides for 16.04 to 20.04, the same
appendix; debian-installer's own scripts where a question is read and stands in no template.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from pxeapp.answers.checks.known import Known, Question

_DEBIAN = """
string  debian-installer/locale debian-installer/language debian-installer/country netcfg/get_hostname
string  netcfg/get_domain netcfg/get_ipaddress netcfg/get_netmask netcfg/get_gateway netcfg/get_nameservers
string  netcfg/hostname netcfg/dhcp_timeout netcfg/link_wait_timeout netcfg/dhcpv6_timeout netcfg/wireless_wep
boolean netcfg/enable netcfg/disable_autoconfig netcfg/use_autoconfig netcfg/confirm_static netcfg/disable_dhcp
select  netcfg/choose_interface netcfg/wireless_essid
note    netcfg/dhcp_failed
select  netcfg/dhcp_options keyboard-configuration/xkb-keymap mirror/country mirror/protocol mirror/suite
string  mirror/http/hostname mirror/http/directory mirror/http/proxy mirror/https/hostname mirror/https/directory
string  mirror/https/proxy mirror/http/countries mirror/codename mirror/udeb/suite
select  mirror/http/mirror mirror/https/mirror
boolean passwd/root-login passwd/make-user passwd/shadow
password passwd/root-password passwd/root-password-again passwd/root-password-crypted
password passwd/user-password passwd/user-password-again passwd/user-password-crypted
string  passwd/user-fullname passwd/username passwd/user-uid passwd/user-default-groups
boolean clock-setup/utc clock-setup/ntp
string  clock-setup/ntp-server time/zone
string  partman-auto/disk partman-auto/method partman-auto/expert_recipe partman-auto/expert_recipe_file
string  partman-auto/cap-ram partman-auto-raid/recipe partman/early_command partman-auto-lvm/guided_size
string  partman-auto-lvm/new_vg_name partman/default_filesystem partman/alignment
select  partman-auto/choose_recipe partman-auto/init_automatically_partition partman/choose_partition
select  partman/mount_style partman-partitioning/default_label partman-partitioning/choose_label
boolean partman-lvm/device_remove_lvm partman-lvm/device_remove_lvm_span partman-lvm/confirm
boolean partman-lvm/confirm_nooverwrite partman-md/device_remove_md partman-md/confirm partman-md/confirm_nooverwrite
boolean partman-md/confirm_nochanges partman-lvm/confirm_nochanges partman-lvm/vgdelete_confirm
boolean partman-partitioning/confirm_write_new_label partman/confirm partman/confirm_nooverwrite
boolean partman-efi/non_efi_system partman-basicfilesystems/no_swap partman-basicfilesystems/no_mount_point
boolean partman-auto-crypto/erase_disks partman-crypto/confirm partman-crypto/confirm_nooverwrite mdadm/boot_degraded
boolean partman-basicmethods/method_only
password partman-crypto/passphrase partman-crypto/passphrase-again
boolean base-installer/install-recommends
string  base-installer/kernel/image base-installer/kernel/altmeta base-installer/includes
string  base-installer/debootstrap_script
boolean apt-setup/non-free apt-setup/contrib apt-setup/non-free-firmware apt-setup/use_mirror apt-setup/main
boolean apt-setup/cdrom/set-first apt-setup/cdrom/set-next apt-setup/cdrom/set-failed
boolean apt-setup/enable-source-repositories
boolean apt-setup/multiarch apt-setup/no_mirror apt-setup/disable-cdrom-entries
multiselect apt-setup/services-select
string  apt-setup/security_host apt-setup/security_path apt-setup/volatile_host
select  apt-setup/local/key-error apt-setup/mirror/error
boolean debian-installer/allow_unauthenticated debian-installer/allow_unauthenticated_ssl
string  pkgsel/include
select  pkgsel/upgrade pkgsel/update-policy
boolean pkgsel/run_tasksel
boolean grub-installer/only_debian grub-installer/with_other_os grub-installer/force-efi-extra-removable
boolean grub-installer/update-nvram grub-installer/skip grub-installer/make_active
boolean grub-installer/enable_os_prober_otheros_yes
string  grub-installer/bootdev grub-installer/timeout
select  grub-installer/choose_bootdev
password grub-installer/password grub-installer/password-again grub-installer/password-crypted
string  debian-installer/add-kernel-opts debian-installer/quiet debian-installer/splash
note    finish-install/reboot_in_progress
boolean finish-install/keep-consoles cdrom-detect/eject debian-installer/exit/halt debian-installer/exit/poweroff
boolean debian-installer/exit/always_halt
string  preseed/early_command preseed/late_command preseed/include preseed/include_command preseed/run preseed/url
string  preseed/include/checksum preseed/run/checksum preseed/file
boolean preseed/interactive
multiselect anna/choose_modules
string  anna/choose_modules_recipe
boolean anna/no_kernel_modules hw-detect/load_firmware hw-detect/start_pcmcia
select  hw-detect/firmware-lookup
boolean network-console/start
string  network-console/authorized_keys_url
password network-console/password network-console/password-again
boolean disk-detect/multipath/enable disk-detect/dmraid/enable
note    lowmem/low
string  localechooser/preferred-locale
multiselect localechooser/supported-locales
select  debconf/priority debconf/language
boolean auto-install/enable
string  auto-install/classes
boolean rescue/enable
boolean save-logs/menu
"""
_UBUNTU = """
string  live-installer/net-image mirror/udeb/suite base-installer/kernel/override-image pkgsel/language-packs
string  pkgsel/language-pack-patterns keyboard-configuration/layoutcode keyboard-configuration/modelcode
string  keyboard-configuration/variantcode keyboard-configuration/optionscode base-installer/kernel/linux/extra-packages
boolean apt-setup/partner
boolean user-setup/encrypt-home user-setup/allow-password-weak user-setup/allow-password-empty console-setup/ask_detect
boolean apt-setup/universe apt-setup/multiverse apt-setup/restricted apt-setup/backports apt-setup/proposed
boolean pkgsel/install-language-support pkgsel/ignore-incomplete-language-support oem-config/enable
select  pkgsel/updatedb
string  base-installer/kernel/backports-modules debian-installer/splash
boolean live-installer/enable
"""
# Read by scripts under names that they make themselves; they stand in no template.
PATTERNS = (
    (re.compile(r"apt-setup/local[0-9]/(repository|comment|key)"), Question("string")),
    (re.compile(r"apt-setup/local[0-9]/source"), Question("boolean")),
    (re.compile(r"grub-installer/(bootdev|choose_bootdev)"), Question("string")),
)
# What is asked in the installed system, by packages that every installation has; these have owners of their own.
OUTSIDE: Mapping[str, tuple[str, Question]] = {
    "tasksel/first": ("tasksel", Question("multiselect")),
    "tasksel/desktop": ("tasksel", Question("multiselect")),
    "tasksel/skip-tasks": ("tasksel", Question("string")),
    "popularity-contest/participate": ("popularity-contest", Question("boolean")),
    "unattended-upgrades/enable_auto_updates": ("unattended-upgrades", Question("boolean")),
    "grub-pc/install_devices": ("grub-pc", Question("multiselect")),
    "grub-pc/install_devices_empty": ("grub-pc", Question("boolean")),
    "locales/locales_to_be_generated": ("locales", Question("multiselect")),
}


def _table(text: str) -> dict[str, Question]:
    return {name: Question(kind) for kind, *names in map(str.split, text.strip().splitlines()) for name in names}


DEBIAN = _table(_DEBIAN)
UBUNTU = {**DEBIAN, **_table(_UBUNTU)}


def find(name: str, known: Known, *, ubuntu: bool) -> Question | None:
    """The question of this name: the installer's own catalogue before our table."""
    found = known.questions.get(name) or (UBUNTU if ubuntu else DEBIAN).get(name)
    if found is None:
        found = next((question for pattern, question in PATTERNS if pattern.fullmatch(name)), None)
    return found


def certain(name: str, known: Known) -> bool:
    """Whether a name that is not found is certainly wrong: all is known, or all of its component."""
    prefix = name.partition("/")[0] + "/"
    return known.whole or any(each.startswith(prefix) for each in known.questions) or not known.questions


def nearest(name: str, known: Known, *, ubuntu: bool) -> str:
    """The known name that is most like this one; empty where none is."""
    names: Iterable[str] = {*known.questions, *(UBUNTU if ubuntu else DEBIAN), *OUTSIDE}
    same_end = [each for each in names if each.rpartition("/")[2] == name.rpartition("/")[2]]
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6) or same_end[:1]
    return found[0] if found else ""
