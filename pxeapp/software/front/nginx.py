"""nginx's configuration for the front on NODE_LISTEN. Pure: a `Front` in, text out; golden files hold it whole.

    /mirror/NAME/...  an upstream's indexes and packages, see mirrors.py; our own installer suites inside it
    /repo/...         files of this appliance's own repositories
    /media/...        asked of the node application, which answers with X-Accel-Redirect: /_media/...
    everything else   the node application, on its unix socket

What nginx adds itself is plain sentences, since it is an installer's log or an operator's terminal that shows them.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pxeapp.software.cache.indexes.serving import INSIDE
from pxeapp.software.front import mirrors
from pxeapp.software.front.spec import Front, check_paths

MAX_LOG_BODY = "16m"  # PUT /c/TOKEN/logs/NAME; the application has its own, smaller limits
MAX_BODY = "256k"


def render(front: Front) -> str:
    """The whole nginx.conf; raises Invalid when a path could mean something in it."""
    paths = [(field.name, value) for field in fields(front) if isinstance(value := getattr(front, field.name), Path)]
    if front.tls is not None:
        paths += [("node_tls_certificate", front.tls.certificate), ("node_tls_key", front.tls.key)]
    check_paths(paths, "nginx")
    return _MAIN.format(
        user=f"user {front.user};\n" if front.user else "",
        workers=front.workers,
        listen=front.listen,
        tls=_TLS.format(listen=front.tls.listen, certificate=front.tls.certificate, key=front.tls.key)
        if front.tls
        else "",
        run_dir=front.run_dir,
        node_socket=front.node_socket,
        indexes_socket=front.indexes_socket,
        indexes_dir=front.indexes_dir,
        inside=INSIDE,
        media_dir=front.media_dir,
        repo_dir=front.repo_dir,
        access_log=front.access_log,
        error_log=front.error_log,
        max_body=MAX_BODY,
        max_log_body=MAX_LOG_BODY,
        zones=mirrors.zones(front),
        proxied=mirrors.proxied(front),
        upstreams=mirrors.upstreams(front),
        mirrors=mirrors.locations(front),
    )


_TLS = """
        listen {listen} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:2m;"""

_MAIN = """\
# Written by pxeapp at each start of the front; changes here are lost.
{user}daemon off;
worker_processes {workers};
worker_shutdown_timeout 10s;
pid {run_dir}/nginx.pid;
error_log {error_log} warn;

events {{
    worker_connections 4096;
}}

http {{
    default_type application/octet-stream;
    types {{
        text/plain txt log;
        text/html html;
        application/json json;
        application/xml xml;
    }}
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    reset_timedout_connection on;

    client_body_temp_path {run_dir}/body;
    proxy_temp_path {run_dir}/proxy;
    fastcgi_temp_path {run_dir}/fastcgi;
    uwsgi_temp_path {run_dir}/uwsgi;
    scgi_temp_path {run_dir}/scgi;

    # A slow client costs a connection for this long and nothing else: requests are handed on only when whole.
    client_header_timeout 10s;
    client_body_timeout 15s;
    send_timeout 60s;
    keepalive_timeout 30s;
    client_max_body_size {max_body};
    large_client_header_buffers 4 8k;
    limit_conn_zone $binary_remote_addr zone=clients:4m;
    limit_conn clients 256;
    limit_conn_status 429;

    # Tokens stand in the path, so the path is masked, after nginx has decoded and normalised it.
    map $uri $logged_path {{
        default $uri;
        "~^/(?<kind>[ac])/[^/]*(?<rest>/.*)?$" /$kind/***$rest;
    }}
    log_format json escape=json '{{"at":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
        '"path":"$logged_path","status":"$status","bytes":"$body_bytes_sent","seconds":"$request_time",'
        '"mirror":"$mirror","file":"$mirror_file","cache":"$upstream_cache_status",'
        '"index":"$upstream_http_x_pxeapp_index","received":"$upstream_bytes_received","agent":"$http_user_agent"}}';
    access_log {access_log} json;

    proxy_http_version 1.1;
    proxy_connect_timeout 10s;
{zones}
    # Who takes us for a proxy names a whole address; what we are asked as ourselves has none here.
    map $request $proxy_authority {{
        default "";
        "~*^[A-Z]+ +http://(?<proxy_host>[^/? ]+)" $proxy_host;
        "~*^[A-Z]+ +[a-z][a-z0-9+.-]*://" "another-scheme";
    }}
    # Looked at anew after a redirect within nginx, which is on its way already.
    map "$proxy_authority $server_addr:$server_port $uri" $proxied {{
        volatile;
        default /_refused/;
        "~^ " "";
        "~^[^ ]+ [^ ]* /_" "";
        "~^(?<proxy_own>[^ ]+) \\k<proxy_own>(:80)? " "";
{proxied}    }}

    # Kept open for a shorter time than the node application keeps them, so that none is used as it is being closed.
    upstream node {{
        server unix:{node_socket} max_fails=0;
        keepalive 64;
        keepalive_timeout 3s;
    }}
    upstream indexes {{
        server unix:{indexes_socket} max_fails=0;
        keepalive 16;
    }}
{upstreams}
    server {{
        listen {listen};{tls}

        if ($proxied) {{
            rewrite ^ $proxied;
        }}

        # By paths and not by names: a request whose line is broken has none that could be kept.
        error_page 400 /_bad_request/;
        error_page 403 405 /_not_allowed/;
        error_page 404 @not_here;
        error_page 408 @too_slow;
        error_page 413 @too_large;
        error_page 414 494 /_bad_request/;
        error_page 429 @too_many;
        error_page 500 502 503 504 =503 @no_node;

        location / {{
            proxy_pass http://node;
            proxy_set_header Host $http_host;
            # The address is the connection's own; what a client says about it is thrown away.
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For "";
            proxy_set_header X-Forwarded-Host "";
            proxy_set_header X-Forwarded-Proto "";
            proxy_set_header X-Forwarded-Prefix "";
            proxy_set_header Forwarded "";
            proxy_set_header Connection "";
            # A file is sent by us, not by the application.
            proxy_set_header X-Sendfile-Type X-Accel-Redirect;
            proxy_read_timeout 60s;

            # nginx's own error messages hold the request line, and here that is a token.
            location ~ ^/[ac]/ {{
                error_log /dev/null crit;
                client_max_body_size {max_log_body};
                proxy_pass http://node;
            }}
        }}

        location /_media/ {{
            internal;
            alias {media_dir}/;
            disable_symlinks on from={media_dir}/;
        }}

        location {inside}/ {{
            internal;
            alias {indexes_dir}/;
            disable_symlinks on from={indexes_dir}/;
        }}

        location ^~ /repo/ {{
            if ($request_method !~ ^(GET|HEAD)$) {{
                return 405;
            }}
            alias {repo_dir}/;
            disable_symlinks on from={repo_dir}/;
        }}
{mirrors}
        location ^~ /mirror/ {{
            default_type text/plain;
            if ($uri ~ ^/mirror/(?<mirror>[^/]*)/?(?<mirror_file>.*)$) {{
                return 404 "This appliance has no mirror of that name; see: pxeapp cache list\\n";
            }}
        }}

        location /_refused/ {{
            internal;
            default_type text/plain;
            return 403 "This proxy leads to the configured upstreams only, by http; see: pxeapp cache list\\n";
        }}

        location /_bad_request/ {{
            internal;
            default_type text/plain;
            if ($request ~ "^CONNECT ") {{
                return 405 "This proxy makes no tunnels: ask for http addresses of the configured upstreams.\\n";
            }}
            return 400 "The request cannot be understood: its line or a header is malformed or too long.\\n";
        }}
        location /_not_allowed/ {{
            internal;
            default_type text/plain;
            if ($request ~ "^CONNECT ") {{
                return 405 "This proxy makes no tunnels: ask for http addresses of the configured upstreams.\\n";
            }}
            return 405 "Files are only read here: use GET or HEAD, on a file and not a folder.\\n";
        }}
        location @not_here {{
            internal;
            default_type text/plain;
            return 404 "There is no such file on this appliance.\\n";
        }}
        location @too_slow {{
            internal;
            default_type text/plain;
            return 408 "The request did not arrive in time.\\n";
        }}
        location @too_large {{
            internal;
            default_type text/plain;
            return 413 "The request's body is too large.\\n";
        }}
        location @too_many {{
            internal;
            default_type text/plain;
            add_header Retry-After 5 always;
            return 429 "Too many connections from this address at once; try again.\\n";
        }}
        location @no_node {{
            internal;
            default_type text/plain;
            add_header Retry-After 5 always;
            return 503 "The appliance's node application does not answer; it is restarted by itself, try again.\\n";
        }}
    }}
}}
"""
