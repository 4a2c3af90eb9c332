{# The other half of system.sh, behind the role's own script: what the site says has the last word. #}
{% set site = spec.site %}
{% set apt = spec.release.family in ("debian", "ubuntu") %}
{% for file in site.files %}
{% if loop.first %}
# Files of the site's, byte for byte.
{% endif %}
{{ file.decode }} <<'END_OF_CONTENT' | put {{ file.path | sh }} {{ file.mode }} {{ file.owner }}
{{ file.body }}END_OF_CONTENT
{% endfor %}
{% if site.handover and site.handover.tool != "none" %}
{% include "boot/site/_handover.sh" %}
{% endif %}
{% if site.post_scripts %}
{% include "boot/site/_post_scripts.sh" %}
{% endif %}
