#!/bin/sh
# node1: fetched by the first of the early-commands, called again by the late- and the error-commands.
# It runs in Ubuntu's live session, as root; the installed system is at /target.
url='http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC'
logs=/var/log/installer

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# Prints the answer's HTTP status, or something else when there was no answer.
post() { # body, path
    if command -v curl >/dev/null; then
        curl -s -o /dev/null -w '%{http_code}' --max-time 10 -H 'Content-Type: application/json' -d "$1" "$url/$2"
    else
        wget -S -O /dev/null -t 1 -T 10 --header='Content-Type: application/json' --post-data="$1" "$url/$2" 2>&1 |
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

send_log() { # file, name
    [ -s "$1" ] || return 0
    tail -c 1000000 "$1" | without_tokens >/run/pxeapp-log
    if command -v curl >/dev/null; then
        curl -s -o /dev/null --max-time 20 -X PUT -H 'Content-Type: text/plain' --data-binary @/run/pxeapp-log \
            "$url/logs/$2"
    else
        wget -qO /dev/null -t 1 -T 20 --method=PUT --body-file=/run/pxeapp-log "$url/logs/$2"
    fi
    return 0
}

# The disk to install on, as the kernel calls it: the one that is named, or the first that nobody can pull out.
# A disk that holds data or is to be kept is never it, whatever name it goes by.
system_disk() {
    kept=
    kept="$kept $(readlink -f '/dev/disk/by-id/ata-DATA_1')"
    kept="$kept $(readlink -f '/dev/disk/by-id/ata-DATA_2')"
    kept="$kept $(readlink -f '/dev/disk/by-path/pci-0000:03:00.0-nvme-1')"
    disk=$(readlink -f '/dev/disk/by-path/pci-0000:00:1f.2-ata-1')
    case " $kept " in *" $disk "*) return 1 ;; esac
    [ -b "$disk" ] && echo "$disk"
}
no_system_disk() {
    echo "The system disk disk/by-path/pci-0000:00:1f.2-ata-1 is not there, or is one to keep. There are:" \
        "$(cd /sys/block && for each in *; do echo "$each ($(cat "$each/size") sectors)"; done)"
}

# The installer reads its answers again when the early-commands are through. Until then they name a disk that cannot be,
# so that whatever goes wrong here, no other one is taken.
disk() {
    udevadm settle --timeout=60 2>/dev/null
    if ! found=$(system_disk); then
        report failed "$(no_system_disk)" 300
        exit 1
    fi
    if ! grep -q '/dev/pxeapp-system-disk' /autoinstall.yaml; then
        report failed "The installer's /autoinstall.yaml does not name our disk: its storage section is another's." 300
        exit 1
    fi
    sed -i "s#/dev/pxeapp-system-disk#$found#g" /autoinstall.yaml
    report progress "Installing on $found"
}

early() {
    report started "Ubuntu's installer started on $(uname -r)." 15
    disk
}

finish() {
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
export DEBIAN_FRONTEND=noninteractive
echo 'node1' >/etc/hostname
cat >/etc/hosts <<'END_OF_HOSTS'
127.0.0.1 localhost
127.0.1.1 node1.rack.example.org node1

::1 ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
END_OF_HOSTS
passwd -l root
mkdir -p /root/.ssh
chmod 700 /root/.ssh
cat >/root/.ssh/authorized_keys <<'END_OF_KEYS'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6hZ8Yyq0T7v1n5m0c2c0X1 ada@ops
END_OF_KEYS
chmod 600 /root/.ssh/authorized_keys
# The first boot from its own disk: call in until answered, then forget how. The script holds the token: root's alone.
: >/usr/local/sbin/pxeapp-first-boot
chmod 700 /usr/local/sbin/pxeapp-first-boot
cat >/usr/local/sbin/pxeapp-first-boot <<'END_OF_SCRIPT'
#!/bin/bash
# Written by pxeapp at installation. Whatever the system has to speak HTTP with is used; nothing is installed for it.
url=http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC/events
disk=$(awk '$2 == "/" {disk = $1} END {print disk}' /proc/mounts) # the last: EL7 has a line for its initramfs before it
body="{\"event\": \"first_boot\", \"message\": \"Kernel $(uname -r) runs from $disk.\"}"

# Each of these prints the answer's HTTP status, or something else when there was no answer.
by_curl() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 10 -H 'Content-Type: application/json' -d "$body" "$url"
}

by_wget() {
    wget -S -O /dev/null -t 1 -T 10 --header='Content-Type: application/json' --post-data="$body" "$url" 2>&1 |
        sed -n 's/^ *HTTP[^ ]* \([0-9]*\).*/\1/p' | tail -n 1
}

by_bash() {
    local rest=${url#http://} host port=80 answer
    host=${rest%%/*}
    if [[ $host =~ ^(.*):([0-9]+)$ ]]; then host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}; fi
    host=${host#[} host=${host%]}
    exec 3<>"/dev/tcp/$host/$port" || return 1
    printf 'POST /%s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "${rest#*/}" "$host" "$(printf %s "$body" | wc -c)" "$body" >&3
    IFS=' ' read -r -t 10 _ answer _ <&3
    exec 3>&-
    printf '%s' "$answer"
}

call_in() {
    if command -v curl >/dev/null; then
        by_curl
    elif command -v wget >/dev/null; then
        by_wget
    else
        by_bash 2>/dev/null
    fi
}

forget() {
    systemctl disable pxeapp-first-boot.service >/dev/null 2>&1
    rm -f /etc/systemd/system/pxeapp-first-boot.service /usr/local/sbin/pxeapp-first-boot
    exit 0
}

for _ in $(seq 1 300); do
    status=$(call_in)
    case $status in 2??) forget ;; esac
    sleep 3
done
# For a quarter of an hour the appliance did not know this attempt: it is over, and nobody waits for us.
[ "$status" = 404 ] && forget
exit 1 # no answer yet; systemd starts us again
END_OF_SCRIPT
cat >/etc/systemd/system/pxeapp-first-boot.service <<'END_OF_UNIT'
[Unit]
Description=Tell the provisioning appliance that this system runs from its own disk
Wants=network-online.target
After=network.target network-online.target

[Service]
Type=simple
ExecStart=/usr/local/sbin/pxeapp-first-boot
Restart=on-failure
RestartSec=60

[Install]
WantedBy=multi-user.target
END_OF_UNIT
if command -v restorecon >/dev/null; then
    restorecon /usr/local/sbin/pxeapp-first-boot /etc/systemd/system/pxeapp-first-boot.service || :
fi
systemctl enable pxeapp-first-boot.service
# Keep the network first in the firmware's order: the appliance decides at each boot, and answers with the disk.
if [ -d /sys/firmware/efi ] && command -v efibootmgr >/dev/null; then
    ls /sys/firmware/efi/efivars/BootOrder-* >/dev/null 2>&1 ||
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars || :
    current=$(efibootmgr | sed -n 's/^BootCurrent: //p')
    order=$(efibootmgr | sed -n 's/^BootOrder: //p')
    if [ -n "$current" ] && [ -n "$order" ]; then
        rest=$(printf '%s' "$order" | tr ',' '\n' | grep -vx "$current" | paste -sd, -)
        efibootmgr -q -o "$current${rest:+,$rest}" || :
    fi
fi
systemctl enable ssh || :
systemctl enable chrony || :
END_OF_FINISH
    if ! curtin in-target --target=/target -- bash /root/pxeapp-finish >/run/pxeapp-finish.log 2>&1; then
        send_log /run/pxeapp-finish.log finish.log
        report failed "The last script failed: $(tail -n 10 /run/pxeapp-finish.log | cut -c1-200)" 300
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    send_log /run/pxeapp-finish.log finish.log
    send_log "$logs/curtin-install.log" curtin-install.log
    report installed "Ubuntu's installer installed ubuntu-20.04 as base." 900
}

failed() {
    said=$(
        grep -hE 'ERROR|Error:|Exception:' "$logs/subiquity-server-debug.log" 2>/dev/null | tail -n 3 | cut -c1-400
        tail -n 12 "$logs/curtin-install.log" 2>/dev/null | cut -c1-200
    )
    report failed "$(printf '%s' "${said:-The installer stopped and left no log.}" | without_tokens)" 300
    journalctl -b --no-pager >/run/pxeapp-journal 2>/dev/null
    send_log "$logs/subiquity-server-debug.log" subiquity.log
    send_log "$logs/curtin-install.log" curtin-install.log
    send_log /var/log/cloud-init.log cloud-init.log
    send_log /run/pxeapp-journal journal.log
}

case $1 in
    early | finish | failed) "$1" ;;
esac
exit 0
