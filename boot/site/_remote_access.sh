# The appliance's own way in: a key and no password, and no more of ssh than running a command.
id -u pxeapp >/dev/null 2>&1 || useradd -r -U -m -d /home/pxeapp -s /bin/bash -c "Provisioning appliance" pxeapp
usermod -p '*' pxeapp # no password fits, and unlike a locked account sshd lets it in by its key
home=$(getent passwd pxeapp | cut -d: -f6)
install -d -m 700 -o pxeapp -g pxeapp "$home/.ssh"
put "$home/.ssh/authorized_keys" 0600 pxeapp:pxeapp <<'END_OF_KEY'
{{ 'from="' ~ (site.remote_access_from | join(",")) ~ '",' if site.remote_access_from }}no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding {{ spec.appliance_key }}
END_OF_KEY
relabel "$home/.ssh"
put /etc/sudoers.d/pxeapp-appliance 0440 root:root <<'END_OF_SUDO'
Defaults:pxeapp !requiretty, !use_pty
pxeapp ALL=(ALL) NOPASSWD: ALL
END_OF_SUDO
visudo -cqf /etc/sudoers.d/pxeapp-appliance
