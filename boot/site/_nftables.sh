{% if site.firewall.on %}
# The packet filter: ssh, and what role and site open; nothing else comes in unasked.
put /etc/nftables.conf 0755 root:root <<'END_OF_FIREWALL'
#!/usr/sbin/nft -f
flush ruleset

table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        udp dport 546 accept
        tcp dport 22 accept
{% for port in work.ports + site.firewall.ports %}
        {{ port.split("/")[1] }} dport {{ port.split("/")[0] }} accept
{% endfor %}
    }
}
END_OF_FIREWALL
systemctl enable nftables.service
{% else %}
# No packet filter.
systemctl disable nftables.service 2>/dev/null || :
{% endif %}
