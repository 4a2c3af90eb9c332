# Tell the appliance. A server that is away must not stop the installation, so each call gives up soon; what must
# arrive says how often to try.
report() { # event, message, tries
    message=$(printf '%s' "$2" | LC_ALL=C tr -c ' -~\n' ' ' | tr '"\\\n' "'/ " | tail -c 3000)
    for try in $(seq 1 "${3:-1}"); do
        curl -sf --max-time 10 -H 'Content-Type: application/json' \
            -d "{\"event\": \"$1\", \"message\": \"$message\"}" {{ spec.callback_url }}/events >/dev/null && return 0
        [ "$try" = "${3:-1}" ] || sleep 5
    done
    return 0
}
send_log() { # file, name
    [ -s "$1" ] && tail -c 1000000 "$1" | curl -sf --max-time 20 -T - {{ spec.callback_url }}/logs/"$2" >/dev/null
    return 0
}
