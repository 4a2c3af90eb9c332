# The first boot from its own disk: call in until answered, then forget how.
cat >/usr/local/sbin/pxeapp-first-boot <<'END_OF_SCRIPT'
{% include "boot/first-boot.sh" %}
END_OF_SCRIPT
chmod 700 /usr/local/sbin/pxeapp-first-boot
cat >/etc/systemd/system/pxeapp-first-boot.service <<'END_OF_UNIT'
[Unit]
Description=Tell the provisioning appliance that this system runs from its own disk
Wants=network-online.target
After=network.target network-online.target

[Service]
Type=simple
ExecStart=/usr/local/sbin/pxeapp-first-boot
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
END_OF_UNIT
systemctl enable pxeapp-first-boot.service
