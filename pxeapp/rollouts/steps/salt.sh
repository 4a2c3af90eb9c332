#!/bin/bash
# Applies a Salt state, or the highstate, on the system that it runs on: by its master where it has one, else alone.
# Sent by pxeapp, see salt.py. Salt's own JSON goes to $PXEAPP_RESULT.
#
#   [STATE]
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/opt/saltstack/salt
options=(--out=json --retcode-passthrough --no-color)
if ! command -v salt-call >/dev/null; then
    echo "There is no salt-call on this machine."
    exit 127
fi
if ! grep -qsE '^ *master:' /etc/salt/minion /etc/salt/minion.d/*.conf; then options+=(--local); fi
salt-call "${options[@]}" state.apply "$@" >"$PXEAPP_RESULT"
