{# Scripts of the site's in the installer, before it looks at disks; in the shell of whichever installer it is. #}
# Scripts of the site's, in their order: `pre_scripts` fails with the name of the one that failed.
pre_script() { # name
    chmod 700 "/tmp/pxeapp-pre-$1"
    "/tmp/pxeapp-pre-$1" </dev/null >>/tmp/pxeapp-site-pre.log 2>&1
}
pre_scripts() {
{% for script in spec.site.pre_scripts %}
{% if script.plain %}
    cat >/tmp/pxeapp-pre-{{ script.name }} <<'END_OF_CONTENT'
{{ script.body }}END_OF_CONTENT
{% else %}
    {
{% for piece in script.octal %}
        printf '{{ piece }}'
{% endfor %}
        :
    } >/tmp/pxeapp-pre-{{ script.name }}
{% endif %}
    if ! pre_script {{ script.name }}; then
        failed_script={{ script.name }}
{% if script.on_failure == "stop" %}
        return 1
{% else %}
        echo "pxeapp: the pre script $failed_script failed; going on" >>/tmp/pxeapp-site-pre.log
{% endif %}
    fi
{% endfor %}
    return 0
}
