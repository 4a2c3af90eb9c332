# Scripts of the site's, in their order. They are root's alone, and gone when they have run.
post_script() { # name, what its failure means; the script comes by the standard input
    put "/root/pxeapp-post-$1" 0700 root:root
    echo "pxeapp: the post script $1 begins"
    result=0
    "/root/pxeapp-post-$1" </dev/null || result=$?
    rm -f "/root/pxeapp-post-$1"
    if [ "$result" != 0 ]; then
        echo "pxeapp: the post script $1 ended with status $result" >&2
        if [ "$2" = stop ]; then exit 1; fi
    fi
}
{% for script in site.post_scripts %}
{{ script.decode }} <<'END_OF_CONTENT' | post_script {{ script.name }} {{ script.on_failure }}
{{ script.body }}END_OF_CONTENT
{% endfor %}
