"""Why a deployment is stuck: for every way to stall, the likely causes in order and what to try.

A table on purpose: whoever learns something new in the field adds a line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """A likely cause and what to do about it, in an operator's words."""

    cause: str
    attempt: str  # what to try


POWER_CABLE = Cause(
    "The BMC has no power or its network cable is out.", "Look at its link light; ping its address from the appliance."
)
BMC_ADDRESS = Cause(
    "The BMC's address or port is not the one we have.",
    "Compare it with the label or the DHCP lease, then PATCH the machine's bmc.address.",
)
BMC_VLAN = Cause(
    "The management network is not reachable from here.",
    "Run `pxeapp doctor`; check the route and the VLAN of the BMC's switch port.",
)
BMC_HANGS = Cause("The BMC hangs.", "Reset it (`ipmitool mc reset cold`) or pull its power for a minute.")
BOOT_ORDER = Cause(
    "It boots from its disk first and the BMC ignored the one-time boot device.",
    "Put the network first in the firmware's boot order once; we serve local boot whenever nothing is armed.",
)
WRONG_MAC = Cause(
    "The boot MAC that we have is another card's.", "Compare it with the machines seen lately: `GET /api/v1/sightings`."
)
OTHER_DHCP = Cause(
    "Another DHCP server answered it and named another loader.",
    "Find it with `pxeapp doctor`; switch it off on this network or use PXEAPP_DHCP=proxy.",
)
FIREWALL = Cause(
    "A firewall or an access list drops the packets.",
    "Allow UDP 67 and 69 and the node port from the provisioning network to the appliance.",
)
SPANNING_TREE = Cause("The switch port takes too long to forward (spanning tree).", "Set the port to edge/portfast.")
PXE_OFF = Cause(
    "Network boot is switched off in the firmware for this card.", "Enable PXE for it in the firmware's set-up."
)
MEMORY = Cause(
    "The machine has too little memory for the initrd.",
    "EL 8 and later want 3 GiB, Debian 1 GiB, Ubuntu from its ISO a little over twice the ISO: 8 GiB for 24.04.",
)
NODE_URL = Cause(
    "The machine cannot reach our node address.",
    "Check PXEAPP_NODE_URL: it must be an address of the provisioning network.",
)

CAUSES: dict[str, tuple[Cause, ...]] = {
    "no_turn": (
        Cause(
            "Others are installing, and no more than PXEAPP_INSTALLS_AT_ONCE may at once.",
            "Wait, or raise the setting if the network and the mirror can take more; abort those that hang.",
        ),
        Cause(
            "Machines are switched on one after another, PXEAPP_STARTS_PER_MINUTE of them.",
            "Wait, or raise the setting if the power feed can take more.",
        ),
    ),
    "not_started": (
        Cause("The worker is not running.", "Look at `pxeapp serve`'s output or start `pxeapp worker`."),
        Cause("The database is locked or full.", "Run `pxeapp doctor`."),
    ),
    "bmc_unreachable": (POWER_CABLE, BMC_ADDRESS, BMC_VLAN, BMC_HANGS),
    "bmc_wrong_password": (
        Cause(
            "User name or password of the BMC is not the one we have.",
            "Try it with ipmitool; then PATCH the machine's bmc.username and bmc.password.",
        ),
        Cause("The BMC refuses the cipher suite.", "Set bmc.cipher_suite to 3 (old BMCs) or 17."),
        Cause(
            "The account may not use IPMI over LAN, or is locked after wrong attempts.",
            "Look at the account in the BMC's own pages.",
        ),
    ),
    "bmc_refused": (
        Cause(
            "The BMC's account has too few privileges.",
            "Give it operator or administrator privileges on the LAN channel.",
        ),
        Cause("The BMC is busy with an update.", "Wait until it has finished and deploy again."),
    ),
    "bmc_unconfirmed": (
        Cause(
            "The BMC took the command but the machine does not do it.",
            "Look at the machine: a hung power supply or a power lock in the chassis does this.",
        ),
        BMC_HANGS,
    ),
    "bmc_cipher_suite": (
        Cause("The BMC allows another cipher suite than we tried.", "Set bmc.cipher_suite to 3 (old BMCs) or 17."),
    ),
    "bmc_certificate": (
        Cause(
            "The BMC's certificate was renewed, or its firmware was reset.",
            "Compare it with the BMC's own page; then set bmc.certificate to null (Edit, Certificate).",
        ),
        Cause("Another device answers at its address.", "Look whose address it is before you send it a password."),
    ),
    "bmc_busy": (
        Cause("Other programs hold all of the BMC's sessions.", "Close their sessions to it, or wait a minute."),
        BMC_HANGS,
    ),
    "bmc_boot_device": (
        Cause(
            "The BMC forgets the one-time boot device (old firmware does).",
            "Put the network first in the firmware's boot order once, or update the BMC; then deploy again.",
        ),
    ),
    "bmc_too_late": (
        Cause("No BMC worker came to it in time.", "Look at `pxeapp serve`'s output or start `pxeapp bmc-worker`."),
    ),
    "power_unconfirmed": (
        Cause(
            "The BMC took the command but the power state did not follow.",
            "Ask for it: `pxeapp machine power NAME`. We never repeat a power command blindly.",
        ),
        Cause("The BMC worker is not running.", "Look at `pxeapp serve`'s output or start `pxeapp bmc-worker`."),
        Cause(
            "It has no BMC in our records and nobody switched it on.", "Switch it on with the network as boot device."
        ),
    ),
    "no_dhcp": (
        BOOT_ORDER,
        PXE_OFF,
        WRONG_MAC,
        SPANNING_TREE,
        Cause(
            "It is on another network than our DHCP.", "Check the switch port's VLAN; across routers set a DHCP relay."
        ),
        Cause(
            "Its self-test takes very long or halts on an error.", "Open its console: `pxeapp machine console NAME`."
        ),
    ),
    "no_loader": (
        OTHER_DHCP,
        FIREWALL,
        Cause(
            "Our TFTP server is not running or not on this network.",
            "Run `pxeapp doctor`; check PXEAPP_TFTP_LISTEN and PXEAPP_TFTP_NETWORKS.",
        ),
        Cause("The loader for its firmware is not installed.", "Run `pxeapp doctor`: it names the missing package."),
    ),
    "no_kernel": (
        NODE_URL,
        Cause(
            "The loader does not run on this firmware (Secure Boot refuses unsigned ones).",
            "With Secure Boot on, have it load shimx64.efi, or switch Secure Boot off.",
        ),
        Cause("The release's kernel is missing or was altered.", "Run `pxeapp release verify`."),
        FIREWALL,
    ),
    "no_answer": (
        MEMORY,
        Cause(
            "The installer has no driver for the network card.",
            "Use a newer release or an initrd with the firmware for this card.",
        ),
        Cause(
            "The installer got no address: slow switch port.",
            "Set the port to edge/portfast, or raise rd.net.timeout.carrier.",
        ),
        NODE_URL,
    ),
    "installer_silent": (
        Cause("The installer waits for an answer on its console.", "Open its console: `pxeapp machine console NAME`."),
        Cause(
            "It cannot reach its packages.", "Run `pxeapp doctor`: it asks every mirror; then look at the front's log."
        ),
        Cause("The machine crashed or lost power.", "Ask for its power state and read its SEL."),
    ),
    "installer_failed": (
        Cause("The installer says why: read the log's tail above.", "See the whole log under the deployment's logs."),
        Cause("A package or repository is missing.", "Look at the mirror's log."),
        Cause(
            "The disk that the answer file names is not there.",
            "Compare the machine's disks with what inspection found.",
        ),
    ),
    "boot_not_made": (
        Cause(
            "Its release, its role or one of its values was changed after the deployment had been ordered.",
            "Mend what the reason names (`pxeapp render NAME` shows what would be given), then deploy again.",
        ),
    ),
    "answer_not_made": (
        Cause(
            "A template of the site's own is wrong, or a variable holds what no answer file can.",
            "Mend what the reason names; `pxeapp render NAME` shows what would be given. Then deploy again.",
        ),
    ),
    "setup_slow": (
        Cause(
            "It waits for another node, most often its controller, and tries again until that is there.",
            "Wait for the controller; what it tries, and what it is answered, is in /var/log/pxeapp-role.log there.",
        ),
        Cause(
            "A service does not start.",
            "Read /var/log/pxeapp-role.log there; after mending it: systemctl restart pxeapp-role",
        ),
    ),
    "setup_silent": (
        Cause(
            "It lost its network, or was switched off, while its role was being set up.",
            "Look at its console: `pxeapp machine console NAME`; the log is /var/log/pxeapp-role.log there.",
        ),
        Cause(
            "Somebody ended the setting up on the machine.",
            "Run there: systemctl restart pxeapp-role; or deploy again.",
        ),
        NODE_URL,
    ),
    "setup_failed": (
        Cause(
            "The controller is not up yet, or cannot be reached from there.",
            "Deploy the controller first; check the variable `controller` and the network between both.",
        ),
        Cause(
            "A password or another variable of the cluster differs from what the controller was set up with.",
            "Compare them; the log is /var/log/pxeapp-role.log on the machine.",
        ),
        Cause(
            "A disk or a network card that the role needs is not there, or holds something.",
            "The reason names it. Mend it and run there: systemctl start pxeapp-role; or deploy again.",
        ),
    ),
    "no_first_boot": (
        Cause(
            "The boot loader was not written to the disk that the firmware boots.",
            "Look at its console: `pxeapp machine console NAME`; check the machine's system disk.",
        ),
        Cause("The installed system has no network.", "Log in on its console; check its interface names and VLANs."),
        NODE_URL,
    ),
    "second_claimant": (
        Cause("Two machines have the same MAC.", "Look for the second address in the DHCP leases."),
        Cause("Somebody on the provisioning network forges its MAC.", "Find the switch port of the second address."),
        Cause(
            "The machine got another address between two boots.",
            "Give it a reservation (PXEAPP_DHCP=full) and deploy again.",
        ),
    ),
    "loader_loop": (
        Cause(
            "Its disk does not boot: the firmware falls through to the network again and again.",
            "Look at its console: `pxeapp machine console NAME`; deploy again if the disk is empty.",
        ),
        Cause(
            "Its firmware starts another disk first, or none: wrong boot order.",
            "Put the installed disk right behind the network in the firmware's boot order.",
        ),
    ),
    "not_verified": (
        Cause(
            "It called in, but its BMC says that it is off.",
            "Ask the BMC: `pxeapp machine power NAME`; it may be another machine's BMC.",
        ),
        Cause("The worker is not running.", "Look at `pxeapp serve`'s output or start `pxeapp worker`."),
    ),
    "restored": (
        Cause(
            "The appliance was restored from a backup that is older than this order's outcome.",
            "Look at the machine's console: it may be installed and in use. Only then deploy it again.",
        ),
    ),
    "aborted": (Cause("An operator aborted it.", "See the audit log for who, and deploy again when ready."),),
}
GENERIC = (Cause("We know no usual cause for this.", "Read its timeline and its console; then deploy again."),)


def of(code: str) -> tuple[Cause, ...]:
    """The causes for a code; a BMC code we have no line for is still the BMC's."""
    if code in CAUSES:
        return CAUSES[code]
    return (BMC_HANGS, BMC_VLAN) if code.startswith("bmc_") else GENERIC
