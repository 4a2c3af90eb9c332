# The agent that takes the machine over: who it is and who its server is, and no more.
{% set fqdn = spec.hostname ~ ("." ~ spec.domain if spec.domain) %}
{% if site.handover.tool == "salt" %}
put /etc/salt/minion.d/pxeapp.conf 0644 root:root <<'END_OF_HANDOVER'
master: {{ site.handover.server }}
id: {{ fqdn }}
{% if site.handover.environment %}
saltenv: {{ site.handover.environment }}
{% endif %}
END_OF_HANDOVER
{% elif site.handover.tool == "puppet" %}
folder=/etc/puppet # the distribution's package; the vendor's has a folder of its own
if [ -d /etc/puppetlabs/puppet ]; then folder=/etc/puppetlabs/puppet; fi
put "$folder/puppet.conf" 0644 root:root <<'END_OF_HANDOVER'
[main]
server = {{ site.handover.server }}
certname = {{ fqdn }}
{% if site.handover.environment %}

[agent]
environment = {{ site.handover.environment }}
{% endif %}
END_OF_HANDOVER
{% else %}
put /etc/systemd/system/pxeapp-ansible-pull.service 0644 root:root <<'END_OF_HANDOVER'
[Unit]
Description=Ansible for {{ fqdn }}: pull the site's playbooks and run the one for this machine
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/bin/ansible-pull -U {{ site.handover.repository }} -i "{{ fqdn }}," -c local{% if site.handover.environment %} -C {{ site.handover.environment }}{% endif %} {{ site.handover.playbook }}
END_OF_HANDOVER
put /etc/systemd/system/pxeapp-ansible-pull.timer 0644 root:root <<'END_OF_HANDOVER'
[Unit]
Description=Ansible, two minutes after each boot and every half hour

[Timer]
OnBootSec=2min
OnUnitInactiveSec=30min

[Install]
WantedBy=timers.target
END_OF_HANDOVER
{% endif %}
systemctl enable {{ site.handover.service }}
