{# For the installer itself, as far as it has a bundle: what it fetches from here on over https. #}
# Certificate authorities of the site's, for what the installer fetches.
for bundle in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; do
    if [ -s "$bundle" ]; then
        cat >>"$bundle" <<'END_OF_CERTIFICATES' || :
{% for certificate in spec.site.ca_certificates %}
{{ certificate.pem }}{% endfor %}
END_OF_CERTIFICATES
    fi
done
