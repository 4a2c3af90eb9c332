{# For the installer itself: what it fetches from here on over https. #}
# Certificate authorities of the site's, for what the installer fetches.
for bundle in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; do
    if [ -s "$bundle" ]; then
        cat >>"$bundle" <<'END_OF_CERTIFICATES' || :
{% for certificate in spec.site.ca_certificates %}
{{ certificate.pem }}{% endfor %}
END_OF_CERTIFICATES
    fi
done
# debian-installer has no bundle: there OpenSSL looks for a file that is called by a hash of the authority's name.
trust() { # hash; the certificate comes by the standard input
    number=0
    while [ -e "/etc/ssl/certs/$1.$number" ]; do number=$((number + 1)); done
    mkdir -p /etc/ssl/certs && cat >"/etc/ssl/certs/$1.$number"
}
{% for certificate in spec.site.ca_certificates %}
{% for hash, pem in certificate.hashed %}
trust {{ hash }} <<'END_OF_CERTIFICATE' || :
{{ pem }}END_OF_CERTIFICATE
{% endfor %}
{% endfor %}
