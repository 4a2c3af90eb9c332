#!/bin/sh
# {{ spec.hostname }}: fetched by the first of the early-commands, called again by the late- and the error-commands.
# It runs in Ubuntu's live session, as root; the installed system is at /target.
url='{{ spec.callback_url }}'
logs=/var/log/installer

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# Prints the answer's HTTP status, or something else when there was no answer. The installer puts its proxy into our
# environment: it is not for the appliance.
post() { # body, path
    if command -v curl >/dev/null; then
        curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 -H 'Content-Type: application/json' \
            -d "$1" "$url/$2"
    else
        wget -S -O /dev/null --no-proxy -t 1 -T 10 --header='Content-Type: application/json' --post-data="$1" \
            "$url/$2" 2>&1 |
            sed -n 's/^ *HTTP[^ ]* \([0-9]*\).*/\1/p' | tail -n 1
    fi
}

# A server that is away must not stop the installation: each call gives up soon; what must arrive says for how long. It
# knows us no more (404) or will not have it (422): no use in asking again.
report() { # event, message, seconds
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | LC_ALL=C tr -cd ' -~' | tail -c 3000)
    deadline=$(($(uptime) + ${3:-0}))
    while :; do
        case $(post "{\"event\": \"$1\", \"message\": \"$message\"}" events) in 2?? | 404 | 422) return 0 ;; esac
        [ "$(uptime)" -lt "$deadline" ] || return 0
        sleep 5
    done
}

# Tokens are in the installer's own logs, for they are part of what it was told. They stay here.
without_tokens() {
    sed 's#/\([ac]\)/[A-Za-z0-9_-]\{20,\}#/\1/***#g'
}

{% if spec.site.installer_logs != "never" %}
send_log() { # file, name
    [ -s "$1" ] || return 0
    tail -c 1000000 "$1" | without_tokens >/run/pxeapp-log
    if command -v curl >/dev/null; then
        curl -s -o /dev/null --noproxy '*' --max-time 20 -X PUT -H 'Content-Type: text/plain' \
            --data-binary @/run/pxeapp-log "$url/logs/$2"
    else
        wget -qO /dev/null --no-proxy -t 1 -T 20 --method=PUT --body-file=/run/pxeapp-log "$url/logs/$2"
    fi
    return 0
}

{% endif %}
{% include "boot/_disks.sh" %}

{% if spec.site.pre_scripts %}
{% include "boot/site/pre_scripts.sh" %}

{% endif %}
{% if spec.site.keep_ssh_host_keys %}
{% include "boot/site/host_keys.sh" %}

{% endif %}
{% if spec.site.ca_certificates %}
installer_certificates() {
{% include "boot/site/installer_certificates.sh" %}
}

{% endif %}
# The installer reads its answers again when the early-commands are through. Until then they name a disk that cannot be,
# so that whatever goes wrong here, no other one is taken.
disk() {
    udevadm settle --timeout=60 2>/dev/null
    if ! find_disks; then
        report failed "$(wrong_disks)" 300
        exit 1
    fi
    if ! grep -q '{{ placeholder }}' /autoinstall.yaml; then
        report failed "The installer's /autoinstall.yaml does not name our disk: its storage section is another's." 300
        exit 1
    fi
{% if spare %}
    {
{% for name in found_disks %}
        echo "{{ name }}='${{ name }}'"
{% endfor %}
    } >/run/pxeapp-disks
{% endif %}
{% for line in substitutions %}
    {{ line }}
{% endfor %}
    report progress "Installing on$system_disks"
{% if spec.site.keep_ssh_host_keys %}
    for each in $system_disks; do keep_host_keys "/dev/$each"; done
    if said=$(lost_host_keys); then report progress "$said"; fi
{% endif %}
}

early() {
    report started "Ubuntu's installer started on $(uname -r)." 15
{% if spec.site.remote_syslog %}
    (journalctl -b -f -o cat | logger --udp --server '{{ spec.site.remote_syslog.host }}' \
        --port {{ spec.site.remote_syslog.port }} --tag pxeapp) </dev/null >/dev/null 2>&1 &
{% endif %}
{% if spec.site.ca_certificates %}
    installer_certificates
{% endif %}
{% if spec.site.pre_scripts %}
    if ! pre_scripts; then
        report failed "The pre script $failed_script failed: $(tail -n 10 /tmp/pxeapp-site-pre.log | cut -c1-200)" 300
        exit 1
    fi
{% endif %}
    disk
}

{% if spare %}
other_disks() {
    cat /run/pxeapp-disks - >/target/root/pxeapp-spare <<'END_OF_SPARE'
{% include "boot/_spare_disks.sh" %}
END_OF_SPARE
    if ! curtin in-target --target=/target -- bash /root/pxeapp-spare >/run/pxeapp-spare.log 2>&1; then
{% if spec.site.installer_logs != "never" %}
        send_log /run/pxeapp-spare.log spare.log
{% endif %}
        report failed "The other disks could not be prepared: $(tail -n 6 /run/pxeapp-spare.log | cut -c1-200)" 300
        exit 1
    fi
    rm -f /target/root/pxeapp-spare
}

{% endif %}
finish() {
{% if spare %}
    other_disks
{% endif %}
{% include "preseeds/autoinstall/_target.sh" %}
    if ! curtin in-target --target=/target -- bash /root/pxeapp-finish >/run/pxeapp-finish.log 2>&1; then
{% if spec.site.installer_logs != "never" %}
        send_log /run/pxeapp-finish.log finish.log
{% endif %}
        report failed "The last script failed: $(tail -n 10 /run/pxeapp-finish.log | cut -c1-200)" 300
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
{% if spec.site.keep_ssh_host_keys %}
    restore_host_keys /target
{% endif %}
{% if spec.site.installer_logs != "never" %}
    send_log /run/pxeapp-finish.log finish.log
    send_log "$logs/curtin-install.log" curtin-install.log
{% endif %}
{% if spec.site.installer_logs == "always" %}
    send_log "$logs/subiquity-server-debug.log" subiquity.log
{% endif %}
    report installed "Ubuntu's installer installed {{ spec.release.name }} as {{ spec.role }}." 900
}

failed() {
    said=$(
        grep -hE 'ERROR|Error:|Exception:' "$logs/subiquity-server-debug.log" 2>/dev/null | tail -n 3 | cut -c1-400
        tail -n 12 "$logs/curtin-install.log" 2>/dev/null | cut -c1-200
    )
    report failed "$(printf '%s' "${said:-The installer stopped and left no log.}" | without_tokens)" 300
{% if spec.site.installer_logs != "never" %}
    journalctl -b --no-pager >/run/pxeapp-journal 2>/dev/null
    send_log "$logs/subiquity-server-debug.log" subiquity.log
    send_log "$logs/curtin-install.log" curtin-install.log
    send_log /var/log/cloud-init.log cloud-init.log
    send_log /run/pxeapp-journal journal.log
{% endif %}
}

case $1 in
    early | finish | failed) "$1" ;;
esac
exit 0
