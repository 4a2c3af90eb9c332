# Certificate authorities of the site's.
{% for certificate in site.ca_certificates %}
{% for name, pem in certificate.single %}
put {{ "/usr/local/share/ca-certificates" if apt else "/etc/pki/ca-trust/source/anchors" }}/{{ name }}.crt 0644 root:root <<'END_OF_CERTIFICATE'
{{ pem }}END_OF_CERTIFICATE
{% endfor %}
{% endfor %}
{{ "update-ca-certificates" if apt else "update-ca-trust extract" }}
