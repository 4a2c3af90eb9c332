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

{% if spec.site.installer_logs != "never" %}
send_logs() {
    for log in syslog partman; do
        [ -s "/var/log/$log" ] || continue
        tail -c 1000000 "/var/log/$log" >/tmp/pxeapp-log
        if wget --help 2>&1 | grep -q -e --post-file; then
            set -- "--post-file=/tmp/pxeapp-log"
        else # busybox's: no more than fits into one argument
            set -- "--post-data=$(tail -c 100000 /tmp/pxeapp-log)"
        fi
        wget -qO /dev/null -t 1 -T 20 --header='Content-Type: text/plain' "$1" "$url/logs/$log" || :
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

{% include "boot/_system_disk.sh" %}

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
    if ! found=$(system_disk); then
        give_up "$(no_system_disk)"
        exit 1
    fi
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
{% if spec.site.keep_ssh_host_keys %}
    keep_host_keys "$found"
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
{% if spec.site.keep_ssh_host_keys %}
    restore_host_keys /target
{% endif %}
{% if spec.site.installer_logs == "always" %}
    send_logs
{% endif %}
    report installed "debian-installer installed {{ spec.release.name }} as {{ spec.role }}." 900
}

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
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
