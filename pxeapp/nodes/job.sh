#!/bin/bash
# Jobs on a machine that outlive the connection they were ordered through. Read by `bash -s` from its standard input;
# whatever comes behind it there is the job's.
#
#   FOLDER start NAME ARGUMENTS RUNNER   so many lines of arguments, so many bytes of runner.sh, and the script
#   FOLDER look NAME OFFSET LIMIT        "STATE EXIT SIZE", and the log from there on
#   FOLDER result NAME LIMIT             what the script has written to $PXEAPP_RESULT
#   FOLDER stop NAME                     end it, if it runs
#
# A job is a folder that appears whole or not at all. It has begun when its link `began` is there, and only one runner
# can make that: ordering a job twice runs it once.
root=$1 what=$2 name=$3
at=$root/$name

alive() { ! flock -n "$at/lock" true; }

lay_down() { # arguments, bytes of the runner
    local new line left=$1
    umask 077
    mkdir -p "$root" || return 1
    # What ended more than a week ago has been read by whoever wanted it.
    find "$root" -mindepth 1 -maxdepth 1 -type d -mtime +7 \( -name '.new.*' -o -exec test -L '{}/exit' \; \) \
        -exec rm -rf '{}' + 2>/dev/null
    new=$(mktemp -d "$root/.new.XXXXXX") || return 1
    {
        : >"$new/lock" && : >"$new/log" && : >"$new/arguments" &&
            while [ "$left" -gt 0 ] && IFS= read -r line; do
                printf '%s\n' "$line" >>"$new/arguments" || break
                left=$((left - 1))
            done &&
            [ "$left" = 0 ] && head -c "$2" >"$new/runner" && cat >"$new/script" && mv -T "$new" "$at"
    } && return
    rm -rf "$new"
    [ -d "$at" ] || return 1 # else somebody was quicker
}

launch() {
    local collect=()
    if [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemd-run >/dev/null; then
        if systemctl is-active --quiet "$name.service"; then return; fi
        if systemd-run --help | grep -q -- --collect; then collect=(--collect); fi # EL7 has none
        systemd-run --quiet --unit="$name" "${collect[@]}" bash "$at/runner" "$at" </dev/null
    else
        setsid bash "$at/runner" "$at" </dev/null >/dev/null 2>&1 &
    fi
}

start() {
    [ -d "$at" ] || lay_down "$1" "$2" || exit
    if [ -L "$at/began" ]; then
        echo known
    else
        launch && echo started
    fi
}

state() {
    if [ ! -L "$at/began" ]; then
        echo absent # or laid down and not begun: to order it again begins it
    elif [ -L "$at/exit" ]; then
        echo ended
    elif alive; then
        echo running
    elif [ -L "$at/exit" ]; then
        echo ended # in between
    else
        echo lost # the machine was restarted, or somebody ended it by force
    fi
}

look() { # offset, limit
    local code size
    state=$(state)
    code=$(readlink "$at/exit" 2>/dev/null)
    size=$(stat -c %s "$at/log" 2>/dev/null)
    printf '%s %s %s\n' "$state" "${code:--}" "${size:-0}"
    if [ -f "$at/log" ]; then tail -c "+$(($1 + 1))" "$at/log" | head -c "$2"; fi
}

stop() {
    local leader count
    [ "$(state)" = running ] || return 0
    leader=$(readlink "$at/began")
    if [ -d /run/systemd/system ] && systemctl is-active --quiet "$name.service" 2>/dev/null; then
        systemctl stop "$name.service"
    else
        kill -TERM -- "-$leader"
        for count in 1 2 3 4 5 6 7 8 9 10; do
            if ! alive; then break; fi
            [ "$count" = 10 ] && kill -KILL -- "-$leader"
            sleep 0.5
        done
    fi
    ln -s 143 "$at/exit" 2>/dev/null
}

main() {
    case $what in
        start) start "$4" "$5" ;;
        look) look "$4" "$5" ;;
        result) if [ -f "$at/result" ]; then head -c "$4" "$at/result"; fi ;;
        stop) stop ;;
    esac
}
# The rest of the input is the job's and not ours: bash must have read to the end of this line, and no further.
main "$@"; code=$?; cat >/dev/null; exit $code
