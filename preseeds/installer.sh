#!/bin/sh
# {{ spec.hostname }}: fetched by preseed/early_command, kept in /tmp, called again by partman and late_command.
# The installer has busybox and wget; no curl, no python, no systemctl.
url={{ spec.callback_url }}

report() { # event, message, tries
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | tr -cd ' -~' | tail -c 3000)
    try=0
    while :; do
        wget -qO /dev/null -T 10 --header='Content-Type: application/json' \
            --post-data="{\"event\": \"$1\", \"message\": \"$message\"}" "$url/events" && return 0
        try=$((try + 1))
        [ "$try" -ge "${3:-1}" ] && return 0
        sleep 5
    done
}

# The installer writes each menu item that it begins, and each one that fails, to its log.
watch() {
    seen=
    while sleep 5; do
        item=$(sed -n "s/.*main-menu\[[0-9]*\]: INFO: Menu item '\([^']*\)' selected.*/\1/p" /var/log/syslog | tail -n 1)
        if [ -n "$item" ] && [ "$item" != "$seen" ]; then
            seen=$item
            report progress "$item"
        fi
        failed=$(grep -E "main-menu\[[0-9]*\]: WARNING .*(failed with error code|Menu item .* failed)" /var/log/syslog |
            tail -n 1)
        if [ -n "$failed" ]; then
            report failed "$failed
$(tail -n 15 /var/log/syslog | cut -c1-200)" 20
            return
        fi
    done
}

disk() {
{% if spec.system_disk and spec.system_disk.startswith("disk/") %}
    found=$(readlink -f /dev/{{ spec.system_disk }})
{% elif spec.system_disk %}
    found=/dev/{{ spec.system_disk }}
{% else %}
    found=
    for candidate in $(list-devices disk); do
        [ "$(cat "/sys/block/${candidate#/dev/}/removable")" = 0 ] && found=$candidate && break
    done
{% endif %}
    if [ ! -b "$found" ]; then
        report failed "The system disk {{ spec.system_disk or "(the first one)" }} is not there; there is: $(list-devices disk)" 20
        exit 1
    fi
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
    report progress "Installing on $found"
}

finish() {
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
{% if spec.ssh_keys %}
mkdir -p -m 700 /root/.ssh
cat >/root/.ssh/authorized_keys <<'END_OF_KEYS'
{% for key in spec.ssh_keys %}
{{ key }}
{% endfor %}
END_OF_KEYS
chmod 600 /root/.ssh/authorized_keys
{% endif %}
{% include "boot/_first_boot_unit.sh" %}
{% for service in spec.services %}
systemctl enable {{ service }} || :
{% endfor %}
END_OF_FINISH
    if ! in-target bash /root/pxeapp-finish; then
        report failed "The last script failed: $(tail -n 10 /var/log/syslog | cut -c1-200)" 20
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    report installed "debian-installer installed {{ spec.release.name }} as {{ spec.role }}." 180
}

case $1 in
    started)
        report started "debian-installer started on $(uname -r)." 3
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
