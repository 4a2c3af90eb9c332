mkdir -p /root/.ssh
chmod 700 /root/.ssh
cat >/root/.ssh/authorized_keys <<'END_OF_KEYS'
{% for key in spec.ssh_keys %}
{{ key }}
{% endfor %}
END_OF_KEYS
chmod 600 /root/.ssh/authorized_keys
