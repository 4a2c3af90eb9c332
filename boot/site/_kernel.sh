# The kernel: its settings, the modules it must not load, its arguments, its serial console.
{% if site.sysctl %}
put /etc/sysctl.d/90-pxeapp.conf 0644 root:root <<'END_OF_SYSCTL'
{% for name, value in site.sysctl %}
{{ name }} = {{ value }}
{% endfor %}
END_OF_SYSCTL
{% endif %}
{% if site.kernel_modules_blacklist %}
put /etc/modprobe.d/pxeapp-blacklist.conf 0644 root:root <<'END_OF_BLACKLIST'
{% for module in site.kernel_modules_blacklist %}
blacklist {{ module }}
install {{ module }} /bin/false
{% endfor %}
END_OF_BLACKLIST
{% endif %}
{% if site.serial_console and site.serial_console.there %}
systemctl enable serial-getty@{{ site.serial_console.port }}.service
{% endif %}
