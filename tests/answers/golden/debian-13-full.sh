#!/bin/sh
# node1: fetched by preseed/early_command, kept in /tmp, called again by partman and late_command.
# The installer has busybox and wget; no curl, no python, no systemctl.
url='http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC'

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

give_up() { # why
    report failed "$1" 300
    send_logs
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

disk() {
    # The installer goes on when this fails, and takes the only disk there is: so first name one that cannot be.
    debconf-set partman-auto/disk /dev/none
    if ! found=$(system_disk); then
        give_up "$(no_system_disk)"
        exit 1
    fi
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
    report progress "Installing on $found"
}

# The other network cards: found by MAC, for the kernel chooses their names. The default route stays the first one's.
card_name() { # mac
    for card in /sys/class/net/*; do
        [ "$(cat "$card/address" 2>/dev/null)" = "$1" ] && echo "${card##*/}" && return 0
    done
    report progress "There is no network card $1 here; it stays unconfigured." >&2
    return 1
}

cards() {
    folder=/target/etc/network/interfaces.d
    mkdir -p "$folder"
    if name=$(card_name 52:54:00:00:00:02); then
        cat >"$folder/pxeapp1" <<END_OF_CARD
allow-hotplug $name
iface $name inet manual
    up ip link set $name up

auto pxe1v120
iface pxe1v120 inet static
    pre-up ip link set $name up
    pre-up ip link add link $name name pxe1v120 type vlan id 120 || true
    post-down ip link delete pxe1v120 || true
    address 10.78.0.11/24
END_OF_CARD
    fi
    if name=$(card_name 52:54:00:00:00:03); then
        cat >"$folder/pxeapp2" <<END_OF_CARD
allow-hotplug $name
iface $name inet static
    address 10.79.0.11/16
END_OF_CARD
    fi
    if name=$(card_name 52:54:00:00:00:04); then
        cat >"$folder/pxeapp3" <<END_OF_CARD
allow-hotplug $name
iface $name inet dhcp
    metric 1000
END_OF_CARD
    fi
    if name=$(card_name 52:54:00:00:00:05); then
        cat >"$folder/pxeapp4" <<END_OF_CARD
allow-hotplug $name
iface $name inet manual
    up ip link set $name up

auto pxe4v7
iface pxe4v7 inet dhcp
    pre-up ip link set $name up
    pre-up ip link add link $name name pxe4v7 type vlan id 7 || true
    post-down ip link delete pxe4v7 || true
    metric 1000
END_OF_CARD
    fi
}

finish() {
    cards
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
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
# Its time servers, in place of the distribution's pools.
if [ -e /etc/chrony/chrony.conf ]; then
    for file in /etc/chrony/chrony.conf /etc/chrony/sources.d/*.sources; do
        if [ -e "$file" ]; then sed -i '/^# pxeapp$/,$d; s/^\(pool\|server\) /#&/' "$file"; fi
    done
    cat >>/etc/chrony/chrony.conf <<'END_OF_TIME'
# pxeapp
server 10.77.0.1 iburst
server ntp.example.org iburst
END_OF_TIME
elif [ -e /etc/systemd/timesyncd.conf ]; then
    mkdir -p /etc/systemd/timesyncd.conf.d
    printf '[Time]\nNTP=10.77.0.1 ntp.example.org\nFallbackNTP=\n' >/etc/systemd/timesyncd.conf.d/pxeapp.conf
fi
systemctl enable ssh || :
systemctl enable chrony || :
END_OF_FINISH
    if ! in-target bash /root/pxeapp-finish; then
        give_up "The last script failed: $(tail -n 10 /var/log/syslog | cut -c1-200)"
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    report installed "debian-installer installed debian-13 as storage." 900
}

case $1 in
    started)
        report started "debian-installer started on $(uname -r)." 15
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
