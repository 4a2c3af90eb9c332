# The first boot from its own disk: call in until answered, then forget how. The script holds the token: root's alone.
: >/usr/local/sbin/pxeapp-first-boot
chmod 700 /usr/local/sbin/pxeapp-first-boot
cat >/usr/local/sbin/pxeapp-first-boot <<'END_OF_SCRIPT'
{% include "boot/first-boot.sh" %}
END_OF_SCRIPT
cat >/etc/systemd/system/pxeapp-first-boot.service <<'END_OF_UNIT'
[Unit]
Description=Tell the provisioning appliance that this system runs from its own disk
Wants=network-online.target
After=network.target network-online.target sshd.service ssh.service

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
