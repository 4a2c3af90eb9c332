# The role {{ role }}: written by pxeapp at the end of the installation, and run once, in the installed system.
role_file() { # path, mode, owner; the text comes on standard input
    mkdir -p "$(dirname "$1")"
    (umask 077 && cat >"$1.pxeapp")
    chown "$3" "$1.pxeapp"
    chmod "$2" "$1.pxeapp"
    mv -f "$1.pxeapp" "$1"
    if command -v restorecon >/dev/null; then restorecon "$1" || :; fi
}
{% if part.modules %}

# Kernel modules.
role_file /etc/modules-load.d/pxeapp-role.conf 0644 root:root <<'{{ end_of_file }}'
{% for module in part.modules %}
{{ module }}
{% endfor %}
{{ end_of_file }}
{% endif %}
{% if part.sysctl %}

# Kernel settings.
role_file /etc/sysctl.d/90-pxeapp-role.conf 0644 root:root <<'{{ end_of_file }}'
{% for name, value in part.sysctl.items() %}
{{ name }} = {{ value }}
{% endfor %}
{{ end_of_file }}
{% endif %}
{% if part.users %}

# Users.
{% for user in part.users %}
id -u {{ user.name }} >/dev/null 2>&1 || useradd --system --home-dir {{ user.home }} --shell {{ user.shell }} {{ user.name }}
{% endfor %}
{% endif %}
{% if part.ports and family == "el" %}

# The firewall.
if command -v firewall-offline-cmd >/dev/null; then
    firewall-offline-cmd -q{% for port in part.ports %} --add-port={{ port }}{% endfor %} || :
fi
{% endif %}
{% for file in files %}

role_file {{ file.path }} {{ file.mode }} {{ file.owner }} <<'{{ end_of_file }}'
{{ file.text }}{{ end_of_file }}
{% endfor %}
{% if install %}

{{ install }}
{% endif %}
{% if first_boot %}

# The checklist of the first boot, and the unit that runs it. It holds passwords: root's alone, and gone once it is done.
role_file /usr/local/sbin/pxeapp-role 0700 root:root <<'{{ end_of_script }}'
{{ first_boot }}{{ end_of_script }}
role_file /etc/systemd/system/pxeapp-role.service 0644 root:root <<'{{ end_of_file }}'
[Unit]
Description=The first boot of the role {{ role }}
Wants=network-online.target
After=network.target network-online.target chronyd.service chrony.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStart=/bin/bash /usr/local/sbin/pxeapp-role

[Install]
WantedBy=multi-user.target
{{ end_of_file }}
# The machine calls in as up only when this is through.
role_file /etc/systemd/system/pxeapp-first-boot.service.d/role.conf 0644 root:root <<'{{ end_of_file }}'
[Unit]
Requires=pxeapp-role.service
After=pxeapp-role.service
{{ end_of_file }}
systemctl enable pxeapp-role.service
{% endif %}
