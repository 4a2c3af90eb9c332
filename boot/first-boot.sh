#!/bin/bash
# Written by pxeapp at installation. Whatever the system has to speak HTTP with is used; nothing is installed for it.
url={{ spec.callback_url }}/events
body="{\"event\": \"first_boot\", \"message\": \"Kernel $(uname -r) runs from $(awk '$2 == "/" {print $1; exit}' /proc/mounts).\"}"

by_bash() {
    local rest=${url#http://} host port answer
    host=${rest%%/*} port=80
    case $host in *:*) port=${host##*:} host=${host%:*} ;; esac
    exec 3<>"/dev/tcp/$host/$port" || return 1
    printf 'POST /%s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "${rest#*/}" "$host" "$(printf %s "$body" | wc -c)" "$body" >&3
    IFS= read -r -t 10 answer <&3
    exec 3>&-
    [[ $answer == *' 200 '* ]]
}

call_in() {
    if command -v curl >/dev/null; then
        curl -sf --max-time 10 -H 'Content-Type: application/json' -d "$body" "$url" >/dev/null
    elif command -v wget >/dev/null; then
        wget -qO- -T 10 --header='Content-Type: application/json' --post-data="$body" "$url" >/dev/null
    else
        by_bash 2>/dev/null
    fi
}

for _ in $(seq 1 300); do
    if call_in; then
        systemctl disable pxeapp-first-boot.service >/dev/null 2>&1
        rm -f /etc/systemd/system/pxeapp-first-boot.service /usr/local/sbin/pxeapp-first-boot
        exit 0
    fi
    sleep 3
done
exit 1
