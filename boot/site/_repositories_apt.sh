# Repositories of the site's: each believes its own key only. What the installer wrote of them would be in the way.
{% for repository in site.repositories %}
if [ -e /etc/apt/sources.list ]; then
    grep -vF {{ (" " ~ repository.line) | sh }} /etc/apt/sources.list >/etc/apt/sources.list.pxeapp-new || :
    cat /etc/apt/sources.list.pxeapp-new >/etc/apt/sources.list
    rm -f /etc/apt/sources.list.pxeapp-new
fi
{% if repository.system %}
{% set keyring = "/usr/share/keyrings/pxeapp-" ~ repository.name ~ ".gpg" %}
{% if repository.inline_key %}
base64 -d <<'END_OF_KEY' | put {{ keyring }} 0644 root:root
{{ repository.binary_key }}END_OF_KEY
{% elif repository.key %}
/usr/lib/apt/apt-helper download-file {{ repository.key | sh }} /tmp/pxeapp-key
if head -c 10 /tmp/pxeapp-key | grep -q '^-----BEGIN'; then
    # The armour taken off: apt before 1.4 reads none, and gpg may not be there.
    sed -n '/^$/,/^[=-]/p' /tmp/pxeapp-key | grep -v '^[=-]' | base64 -d | put {{ keyring }} 0644 root:root
else
    put {{ keyring }} 0644 root:root </tmp/pxeapp-key
fi
rm -f /tmp/pxeapp-key
{% endif %}
put /etc/apt/sources.list.d/pxeapp-{{ repository.file }}.list 0644 root:root <<'END_OF_REPOSITORY'
deb [{{ "signed-by=" ~ keyring if repository.key else "trusted=yes" }}] {{ repository.line }}
END_OF_REPOSITORY
{% if repository.priority %}
put /etc/apt/preferences.d/pxeapp-{{ repository.file }} 0644 root:root <<'END_OF_PIN'
Package: *
Pin: {{ repository.pin or 'origin "' ~ repository.host ~ '"' }}
Pin-Priority: {{ repository.priority }}
END_OF_PIN
{% endif %}
{% endif %}
{% endfor %}
apt-get -q update || echo "pxeapp: the package lists could not be read anew; going on with those that are here" >&2
