# Its time servers, in place of the distribution's pools.
if [ -e /etc/chrony/chrony.conf ]; then
    for file in /etc/chrony/chrony.conf /etc/chrony/sources.d/*.sources; do
        if [ -e "$file" ]; then sed -i '/^# pxeapp$/,$d; s/^\(pool\|server\) /#&/' "$file"; fi
    done
    cat >>/etc/chrony/chrony.conf <<'END_OF_TIME'
# pxeapp
{% for server in spec.ntp %}
server {{ server }} iburst
{% endfor %}
END_OF_TIME
elif [ -e /etc/systemd/timesyncd.conf ]; then
    mkdir -p /etc/systemd/timesyncd.conf.d
    printf '[Time]\nNTP={{ spec.ntp | join(" ") }}\nFallbackNTP=\n' >/etc/systemd/timesyncd.conf.d/pxeapp.conf
fi
