# The network of the installed system, by MAC. What the installer wrote for its own cards goes away.
{% if dialect.installer == "kickstart" %}
rm -f {{ root }}/etc/NetworkManager/system-connections/*
for file in {{ root }}/etc/sysconfig/network-scripts/ifcfg-*; do
    case $file in */ifcfg-lo) ;; *) rm -f "$file" ;; esac
done
{% elif dialect.netplan %}
rm -f {{ root }}/etc/netplan/*.yaml
{% else %}
rm -f {{ root }}/etc/network/interfaces.d/*
{% endif %}
{% for file in network_files %}
mkdir -p {{ root }}{{ file.folder }}
cat >{{ root }}{{ file.path }} <<'END_OF_NETWORK'
{{ file.text }}END_OF_NETWORK
chmod {{ file.mode }} {{ root }}{{ file.path }}
{% endfor %}
{% if dialect.installer == "kickstart" %}
restorecon -R{% for folder in network_files | map(attribute="folder") | unique %} {{ folder }}{% endfor %} || :
{% endif %}
