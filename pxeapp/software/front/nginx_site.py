"""A site of an operator's own nginx in front of ours. Pure: a `Site` in, text out.

/repo/, /media/   sent by that nginx; for /media/ the node application says where a file lies
/mirror/          our own nginx, which caches
all else          the node application on its socket
"""

from __future__ import annotations

from pxeapp.software.front.spec import Site, check_site


def render(site: Site) -> str:
    """The whole file, to be included within http; raises Invalid when something in it could mean something else."""
    check_site(site, "nginx")
    tls = site.certificate is not None and site.key is not None
    return _SITE.format(
        listen=f"{site.port} ssl" if tls else site.port,
        name=f"    server_name {site.name};\n" if site.name else "",
        tls=_TLS.format(certificate=site.certificate, key=site.key) if tls else "",
        repo_dir=site.front.repo_dir,
        media_dir=site.front.media_dir,
        cache=site.cache,
        node_socket=site.front.node_socket,
        logs=site.logs,
    )


_TLS = """\
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
"""

_SITE = """\
# Written by: pxeapp front config --for nginx. To be included within http.
# nginx's user has to read {repo_dir} and {media_dir}, and to write to {node_socket}.
map $uri $pxeapp_path {{
    default $uri;
    "~^/(?<pxeapp_kind>[ac])/[^/]*(?<pxeapp_rest>/.*)?$" /$pxeapp_kind/***$pxeapp_rest;
}}
log_format pxeapp escape=json '{{"at":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
    '"path":"$pxeapp_path","status":"$status","bytes":"$body_bytes_sent","agent":"$http_user_agent"}}';
upstream pxeapp_node {{
    server unix:{node_socket} max_fails=0;
    keepalive 16;
    keepalive_timeout 3s;
}}

server {{
    listen {listen};
{name}{tls}    server_tokens off;
    client_max_body_size 16m;
    access_log {logs}/access.log pxeapp;
    error_log {logs}/error.log;

    location / {{
        proxy_http_version 1.1;
        proxy_pass http://pxeapp_node;
        proxy_set_header Host $http_host;
        # The address is the connection's own; what a client says about it is thrown away.
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For "";
        proxy_set_header X-Forwarded-Host "";
        proxy_set_header X-Forwarded-Proto "";
        proxy_set_header X-Forwarded-Prefix "";
        proxy_set_header Forwarded "";
        proxy_set_header Connection "";
        proxy_set_header X-Sendfile-Type X-Accel-Redirect;

        # nginx's own error messages hold the request line, and here that is a token.
        location ~ ^/[ac]/ {{
            error_log /dev/null crit;
            proxy_pass http://pxeapp_node;
        }}
    }}
    location /_media/ {{
        internal;
        alias {media_dir}/;
        disable_symlinks on from={media_dir}/;
    }}
    location ^~ /repo/ {{
        limit_except GET {{
            deny all;
        }}
        alias {repo_dir}/;
        disable_symlinks on from={repo_dir}/;
    }}
    location ^~ /mirror/ {{
        proxy_http_version 1.1;
        proxy_pass http://{cache};
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 180s;
    }}
}}
"""
