# Users of the site's: locked where no hash is given, so that keys are the only way in.
{% for user in site.users %}
{% for group in user.groups %}
getent group {{ group }} >/dev/null || groupadd {{ group }}
{% endfor %}
if id -u {{ user.name }} >/dev/null 2>&1; then
    usermod -s {{ user.shell | sh }}{% if user.comment %} -c {{ user.comment | sh }}{% endif %} {{ user.name }}
elif getent group {{ user.name }} >/dev/null; then
    useradd -m -g {{ user.name }} -s {{ user.shell | sh }}{% if user.uid %} -u {{ user.uid }}{% endif %}{% if user.comment %} -c {{ user.comment | sh }}{% endif %} {{ user.name }}
else
    useradd -m -U -s {{ user.shell | sh }}{% if user.uid %} -u {{ user.uid }}{% endif %}{% if user.comment %} -c {{ user.comment | sh }}{% endif %} {{ user.name }}
fi
{% if user.groups %}
usermod -aG {{ user.groups | join(",") }} {{ user.name }}
{% endif %}
{% if user.password_hash %}
chpasswd -e <<'END_OF_PASSWORD'
{{ user.name }}:{{ user.password_hash }}
END_OF_PASSWORD
{% else %}
usermod -L {{ user.name }}
{% endif %}
{% if user.ssh_authorized_keys %}
home=$(getent passwd {{ user.name }} | cut -d: -f6)
install -d -m 700 -o {{ user.name }} -g "$(id -gn {{ user.name }})" "$home/.ssh"
put "$home/.ssh/authorized_keys" 0600 "{{ user.name }}:$(id -gn {{ user.name }})" <<'END_OF_KEYS'
{% for key in user.ssh_authorized_keys %}
{{ key }}
{% endfor %}
END_OF_KEYS
relabel "$home/.ssh"
{% endif %}
{% if user.sudo != "no" %}
put /etc/sudoers.d/pxeapp-{{ user.name }} 0440 root:root <<'END_OF_SUDO'
{{ user.name }} ALL=(ALL) {{ "NOPASSWD: " if user.sudo == "nopasswd" }}ALL
END_OF_SUDO
visudo -cqf /etc/sudoers.d/pxeapp-{{ user.name }}
{% endif %}
{% endfor %}
