#!/bin/sh
# {{ spec.hostname }}: fetched by preseed/early_command, kept in /tmp, called again by partman and late_command.
# The installer has busybox and wget; no curl, no python, no systemctl.
url='{{ spec.callback_url }}'

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# A server that is away must not stop the installation: each call gives up soon; what must arrive says for how long.
# No proxy stands between us: in these words GNU's wget and busybox's both understand it.
report() { # event, message, seconds
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | tr -cd ' -~' | tail -c 3000)
    deadline=$(($(uptime) + ${3:-0}))
    while :; do
        wget -qO /dev/null --proxy=off -t 1 -T 10 --header='Content-Type: application/json' \
            --post-data="{\"event\": \"$1\", \"message\": \"$message\"}" "$url/events" && return 0
        [ "$(uptime)" -lt "$deadline" ] || return 0
        sleep 5
    done
}

{% if spec.site.installer_logs != "never" %}
send_logs() {
    for log in syslog partman; do
        [ -s "/var/log/$log" ] || continue
        # Tokens are in it, for they are part of what the installer was told. They stay here.
        tail -c 1000000 "/var/log/$log" | sed 's#/\([ac]\)/[A-Za-z0-9_-]\{20,\}#/\1/***#g' >/tmp/pxeapp-log
        if wget --help 2>&1 | grep -q -e --post-file; then
            set -- "--post-file=/tmp/pxeapp-log"
        else # busybox's: no more than fits into one argument
            set -- "--post-data=$(tail -c 100000 /tmp/pxeapp-log)"
        fi
        wget -qO /dev/null --proxy=off -t 1 -T 20 --header='Content-Type: text/plain' "$1" "$url/logs/$log" || :
    done
}

{% endif %}
give_up() { # why
    report failed "$1" 300
{% if spec.site.installer_logs != "never" %}
    send_logs
{% endif %}
}

# "12 of 140 packages are configured": long stages say once a minute how far they are, and nothing when they hang.
packages() {
    status=/target/var/lib/dpkg/status
    [ -s "$status" ] || return 0
    echo "$(grep -c '^Status: install ok installed' "$status") of $(grep -c '^Package:' "$status") packages are configured"
}

# The installer writes each menu item that it begins, and each one that fails, to its log.
watch() {
    seen=
    counted=
    rounds=0
    while sleep 5; do
        item=$(sed -n "s/.*main-menu\[[0-9]*\]: INFO: Menu item '\([^']*\)' selected.*/\1/p" /var/log/syslog | tail -n 1)
        if [ -n "$item" ] && [ "$item" != "$seen" ]; then
            seen=$item
            report progress "$item"
            rounds=0
        fi
        rounds=$((rounds + 1))
        if [ "$rounds" -ge 12 ]; then
            rounds=0
            count=$(packages)
            if [ "$count" != "$counted" ]; then
                counted=$count
                report progress "$item: $count"
            fi
        fi
        failed=$(grep -E "main-menu\[[0-9]*\]: WARNING .*(failed with error code|Menu item .* failed)" /var/log/syslog |
            tail -n 1)
        if [ -n "$failed" ]; then
            give_up "$failed
$(tail -n 15 /var/log/syslog | cut -c1-200)"
            return
        fi
    done
}

{% include "boot/_disks.sh" %}
{% if spare or disks.arrays %}

part_of() { # disk, number
    case $1 in
        *[0-9]) echo "/dev/$1p$2" ;;
        *) echo "/dev/$1$2" ;;
    esac
}
{% endif %}
{% if disks.arrays %}

# One array for partman-auto-raid: it makes them in this order, of the partitions with this number on every disk.
array() { # level, number, file system, mount point
    parts=
    for each in $system_disks; do parts="$parts#$(part_of "$each" "$2")"; done
    # shellcheck disable=SC2086
    set -- "$@" $system_disks
    echo "$1 $(($# - 4)) 0 $3 $4 ${parts#\#} ."
}
{% endif %}

{% if spec.site.pre_scripts %}
{% include "boot/site/pre_scripts.sh" %}

{% endif %}
{% if spec.site.keep_ssh_host_keys %}
{% include "boot/site/host_keys.sh" %}

{% endif %}
disk() {
    # The installer goes on when this fails, and takes the only disk there is: so first name one that cannot be.
    debconf-set partman-auto/disk /dev/none
{% if spec.site.pre_scripts %}
    if ! pre_scripts; then
        give_up "The pre script $failed_script failed: $(tail -n 10 /tmp/pxeapp-site-pre.log | cut -c1-200)"
        exit 1
    fi
{% endif %}
    if ! find_disks; then
        give_up "$(wrong_disks)"
        exit 1
    fi
    found=
    for each in $system_disks; do found="$found /dev/$each"; done
    found=${found# }
{% if disks.recipe %}
    # This partitioner knows no question for it, and would make a table for BIOS whose partitions have other numbers.
    table=/lib/partman/lib/disk-label.sh
    grep -q default_label "$table" || sed -i 's/echo msdos;;/echo gpt;;/' "$table"
{% endif %}
{% if disks.arrays %}
    arrays= # in one line: debconf takes a second one for a command, and gives each answer after it to the next question
{% for each in disks.arrays %}
    arrays="$arrays${arrays:+ }$(array {{ each.level }} {{ each.number }} {{ each.filesystem }} {{ each.mount }})"
{% endfor %}
    debconf-set partman-auto-raid/recipe "$arrays"
{% endif %}
{% if spare or disks.arrays %}
    {
{% for name in found_disks %}
        echo "{{ name }}='${{ name }}'"
{% endfor %}
    } >/tmp/pxeapp-disks
{% endif %}
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
{% if spec.site.keep_ssh_host_keys %}
    for each in $found; do keep_host_keys "$each"; done
    if said=$(lost_host_keys); then report progress "$said"; fi
{% endif %}
    report progress "Installing on $found"
}

{% if spec.network %}
network() {
{% set root = "/target" %}
{% include "boot/_network_files.sh" %}
}

{% elif spec.cards %}
{% include "preseeds/_cards.sh" %}

{% endif %}
{% if disks.recipe or spare %}
# The partitioner falls back to a recipe of its own when it cannot follow ours, and says so only in its log.
other_disks() {
{% for mount in disks.mounts %}
    if ! grep -q ' /target{{ mount }} ' /proc/mounts; then
        give_up "The partitioner did not make {{ mount }}: $(grep partman /var/log/syslog | tail -n 5 | cut -c1-200)"
        exit 1
    fi
{% endfor %}
{% if spare or disks.arrays %}
    . /tmp/pxeapp-disks
{% endif %}
{% if disks.arrays %}
    if [ -d /sys/firmware/efi ]; then
        # The machine boots from whichever of its disks is left: each has the loader, at the place for a disk that no
        # firmware knows yet.
        mkdir -p /tmp/pxeapp-esp
        for each in $system_disks; do
            node=$(part_of "$each" 2)
            if grep -q "^$node /target/boot/efi " /proc/mounts; then continue; fi
            mount -t vfat "$node" /tmp/pxeapp-esp && cp -R /target/boot/efi/. /tmp/pxeapp-esp/ ||
                report progress "The loader could not be copied to $node."
            umount /tmp/pxeapp-esp
        done
    fi
{% endif %}
{% if spare %}
    cat /tmp/pxeapp-disks - >/target/root/pxeapp-spare <<'END_OF_SPARE'
{% include "boot/_spare_disks.sh" %}
END_OF_SPARE
    if ! in-target bash /root/pxeapp-spare; then
        give_up "The disks beside the system's could not be prepared: $(tail -n 6 /var/log/syslog | cut -c1-200)"
        exit 1
    fi
    rm -f /target/root/pxeapp-spare
{% endif %}
}

{% endif %}
finish() {
{% if disks.recipe or spare %}
    other_disks
{% endif %}
{% if spec.network %}
    network
{% elif spec.cards %}
    cards
{% endif %}
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
{% if spec.ssh_keys %}
{% include "boot/_root_keys.sh" %}
{% endif %}
{% include "boot/_first_boot_unit.sh" %}
{% set late_packages = work.late %}
{% include "boot/site/system.sh" %}
{% if work.install %}

{{ work.install }}
{% endif %}
{% include "boot/site/last.sh" %}
{% if dialect.ubuntu and spec.site.boot_order == "network-first" %}
{# Debian's installer is told to leave the order alone; Ubuntu's does not know the question. #}
{% include "boot/_boot_order.sh" %}
{% endif %}
{% for service in work.services %}
systemctl enable {{ service }} || :
{% endfor %}
END_OF_FINISH
    if ! in-target bash /root/pxeapp-finish; then
        give_up "The last script failed: $(tail -n 10 /var/log/syslog | cut -c1-200)"
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
{% if spec.reach.via[spec.release.install_url] and not spec.site.proxy.system %}
    # The proxy was the installer's, and is not the system's.
    rm -f /target/etc/apt/apt.conf.d/90pxeapp-proxy
    sed -i '/^Acquire::https*::Proxy /d' /target/etc/apt/apt.conf
{% endif %}
{% if spec.site.keep_ssh_host_keys %}
    restore_host_keys /target
{% endif %}
{% if spec.site.installer_logs == "always" %}
    send_logs
{% endif %}
    report installed "debian-installer installed {{ spec.release.name }} as {{ spec.role }}." 900
}

{% if spec.release.own_key %}
# The mirror is the appliance's own, and signed by it: the installer's gpgv is to know its key, and so is apt in the
# installed system, before it is asked. Signatures are checked as ever.
own_key() {
    if ! wget -qO /tmp/pxeapp.gpg --proxy=off '{{ spec.release.own_key }}'; then
        give_up "The key of the repository {{ spec.release.install_url }} could not be fetched."
        exit 1
    fi
    # net-retriever and debootstrap read archive.gpg, which a component makes later, as a link to one of these.
    for each in archive debian-archive-keyring ubuntu-archive-keyring; do
        for keyring in "/usr/share/keyrings/$each.gpg" "/usr/share/keyrings/$each.pgp"; do
            if [ -f "$keyring" ] && [ ! -L "$keyring" ]; then cat /tmp/pxeapp.gpg >>"$keyring"; fi
        done
    done
    mkdir -p /usr/lib/base-installer.d
    cat >/usr/lib/base-installer.d/05pxeapp-key <<'END_OF_HOOK'
#!/bin/sh
mkdir -p /target/etc/apt/trusted.gpg.d
cp /tmp/pxeapp.gpg /target/etc/apt/trusted.gpg.d/pxeapp.gpg
END_OF_HOOK
    chmod 755 /usr/lib/base-installer.d/05pxeapp-key
}

{% endif %}
{% if spec.reach.via[spec.release.install_url] %}
# The installer has one proxy for everything. Its wget reads this file; apt in the new system is told host by host, from
# before it is asked for anything.
around_proxy() {
    echo 'no_proxy = {{ spec.reach.around | join(",") }}' >>/etc/wgetrc
    mkdir -p /usr/lib/base-installer.d
    cat >/usr/lib/base-installer.d/06pxeapp-direct <<'END_OF_HOOK'
#!/bin/sh
mkdir -p /target/etc/apt/apt.conf.d
cat >/target/etc/apt/apt.conf.d/90pxeapp-proxy <<'END_OF_DIRECT'
{% for host in spec.reach.direct_hosts %}
Acquire::http::Proxy::{{ host }} "DIRECT";
Acquire::https::Proxy::{{ host }} "DIRECT";
{% endfor %}
END_OF_DIRECT
END_OF_HOOK
    chmod 755 /usr/lib/base-installer.d/06pxeapp-direct
}

{% endif %}
{% if spec.site.ca_certificates %}
installer_certificates() {
{% include "boot/site/installer_certificates.sh" %}
}

{% endif %}
case $1 in
    started)
        report started "debian-installer started on $(uname -r)." 15
{% if spec.site.ca_certificates %}
        installer_certificates
{% endif %}
{% if spec.reach.via[spec.release.install_url] %}
        around_proxy
{% endif %}
{% if spec.release.own_key %}
        own_key
{% endif %}
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
