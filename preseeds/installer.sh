#!/bin/sh
# {{ spec.hostname }}: fetched by preseed/early_command, kept in /tmp, called again by partman and late_command.
# The installer has busybox and wget; no curl, no python, no systemctl.
url='{{ spec.callback_url }}'

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# A server that is away must not stop the installation: each call gives up soon; what must arrive says for how long.
report() { # event, message, seconds
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | tr -cd ' -~' | tail -c 3000)
    deadline=$(($(uptime) + ${3:-0}))
    while :; do
        wget -qO /dev/null -t 1 -T 10 --header='Content-Type: application/json' \
            --post-data="{\"event\": \"$1\", \"message\": \"$message\"}" "$url/events" && return 0
        [ "$(uptime)" -lt "$deadline" ] || return 0
        sleep 5
    done
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
            report failed "$failed
$(tail -n 15 /var/log/syslog | cut -c1-200)" 300
            return
        fi
    done
}

{% include "boot/_system_disk.sh" %}

disk() {
    # The installer goes on when this fails, and takes the only disk there is: so first name one that cannot be.
    debconf-set partman-auto/disk /dev/none
    if ! found=$(system_disk); then
        report failed "$(no_system_disk)" 300
        exit 1
    fi
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
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
finish() {
{% if spec.network %}
    network
{% elif spec.cards %}
    cards
{% endif %}
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
{% if spec.ssh_keys %}
mkdir -p /root/.ssh
chmod 700 /root/.ssh
cat >/root/.ssh/authorized_keys <<'END_OF_KEYS'
{% for key in spec.ssh_keys %}
{{ key }}
{% endfor %}
END_OF_KEYS
chmod 600 /root/.ssh/authorized_keys
{% endif %}
{% include "boot/_first_boot_unit.sh" %}
{% if work.install %}

{{ work.install }}
{% endif %}
{% if dialect.ubuntu %}
{# Debian's installer is told to leave the order alone; Ubuntu's does not know the question. #}
{% include "boot/_boot_order.sh" %}
{% endif %}
{% for service in work.services %}
systemctl enable {{ service }} || :
{% endfor %}
END_OF_FINISH
    if ! in-target bash /root/pxeapp-finish; then
        report failed "The last script failed: $(tail -n 10 /var/log/syslog | cut -c1-200)" 300
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    report installed "debian-installer installed {{ spec.release.name }} as {{ spec.role }}." 900
}

case $1 in
    started)
        report started "debian-installer started on $(uname -r)." 15
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
