#!/bin/bash
# The first boot of the role {{ role }}, written by pxeapp. Each step can be done twice, so that it may be run again:
# what does not work yet is tried again, and after a while reported as failed. Only then does it end without success.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
log=/var/log/pxeapp-role.log
give_up=$((SECONDS + {{ vars.first_boot_minutes | default(60) }} * 60))
(umask 077 && : >>"$log")

report() { # event, message
    message=$2
{% for secret in secrets %}
    message=${message//{{ secret | sh }}/***}
{% endfor %}
    message=$(printf '%s' "$message" | tr -c ' -~\n' ' ' | tr '"\\\n' "'/ " | tail -c 3000)
    for _ in 1 2 3; do
        case $(curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 \
            -H 'Content-Type: application/json' -d "{\"event\": \"$1\", \"message\": \"$message\"}" '{{ spec.callback_url }}/events') in
            2?? | 404 | 422) return 0 ;;
        esac
        sleep 5
    done
}

step() { # what it is, command, arguments
    what=$1
    shift
    report setting_up "$what"
    said=$SECONDS
    while :; do
        printf '== %s %s\n' "$(date -u +%FT%TZ)" "$what" >>"$log"
        set -m # a process group of its own, so that what hangs can be ended with all that it started
        (set -e; "$@") >>"$log" 2>&1 </dev/null & # in the background: only there does set -e hold inside a condition
        tried=$! began=$SECONDS
        set +m
        while kill -0 "$tried" 2>/dev/null; do
            if [ "$SECONDS" -ge "$give_up" ] && [ $((SECONDS - began)) -ge 300 ]; then
                echo "It hung." >>"$log"
                kill -9 -- "-$tried"
            fi
            sleep 0.5
        done
        if wait "$tried"; then return 0; fi
        if [ "$SECONDS" -ge "$give_up" ]; then
            report setup_failed "$what: $(tail -n 12 "$log" | cut -c1-200)"
            exit 1
        fi
        if [ $((SECONDS - said)) -ge 300 ]; then
            report setting_up "$what: not yet. $(tail -n 2 "$log" | cut -c1-200)"
            said=$SECONDS
        fi
        sleep 5
    done
}

run() { # units: from now on they run, at each boot too
    systemctl enable "$@"
    systemctl restart "$@"
    sleep 5
    for unit in "$@"; do
        systemctl is-active --quiet "$unit" || { systemctl status --no-pager --lines 5 "$unit"; return 1; }
    done
}

{{ checklists }}

report setting_up "The role {{ role }} is set up."
rm -f /etc/systemd/system/pxeapp-role.service /etc/systemd/system/multi-user.target.wants/pxeapp-role.service \
    /etc/systemd/system/pxeapp-first-boot.service.d/role.conf /usr/local/sbin/pxeapp-role
rmdir /etc/systemd/system/pxeapp-first-boot.service.d 2>/dev/null
exit 0
