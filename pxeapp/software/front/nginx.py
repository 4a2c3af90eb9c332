"""nginx's configuration for the front on NODE_LISTEN. Pure: a `Front` in, text out; golden files hold it whole.

    /mirror/NAME/...  the upstream's packages, pulled through a cache; our own installer suites inside it
    /repo/...         files of this appliance's own repositories
    /media/...        asked of the node application, which answers with X-Accel-Redirect: /_media/...
    everything else   the node application, on its unix socket

What nginx adds itself is plain sentences, since it is an installer's log or an operator's terminal that shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.udebs.suite import POOL
from pxeapp.software.upstreams import Upstream

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
OUR_SUITES = "pxeapp-"  # what our own suites' names begin with
MAX_CACHE = "20g"
MAX_LOG_BODY = "16m"  # PUT /c/TOKEN/logs/NAME; the application has its own, smaller limits
MAX_BODY = "256k"

# Files whose name says what they hold: a package version is never built twice, by-hash is its own checksum.
IMMUTABLE = r'"(\.(deb|udeb|dsc|rpm|drpm)|/by-hash/[A-Za-z0-9]+/[0-9a-f]+)$"'


@dataclass(frozen=True, slots=True)
class Served:
    """An upstream with the addresses it has now; none means that it cannot be resolved (a door needs none)."""

    upstream: Upstream
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Front:
    """Everything the configuration is made from. `user` is set only where nginx is started as root."""

    listen: str
    run_dir: Path
    node_socket: Path
    media_dir: Path
    repo_dir: Path
    udebs_dir: Path
    cache_dir: Path
    access_log: Path
    error_log: Path
    mirrors: Sequence[Served] = ()
    user: str = ""
    workers: int = 2


def render(front: Front) -> str:
    """The whole nginx.conf; raises Invalid when a path could mean something in it."""
    for field in fields(front):
        if isinstance(value := getattr(front, field.name), Path):
            _check(field.name, str(value))
    upstreams = "".join(_upstream(served) for served in front.mirrors)
    mirrors = "".join(_mirror(served, front) for served in front.mirrors)
    return _MAIN.format(
        user=f"user {front.user};\n" if front.user else "",
        workers=front.workers,
        listen=front.listen,
        run_dir=front.run_dir,
        node_socket=front.node_socket,
        media_dir=front.media_dir,
        repo_dir=front.repo_dir,
        cache_dir=front.cache_dir,
        access_log=front.access_log,
        error_log=front.error_log,
        max_cache=MAX_CACHE,
        max_body=MAX_BODY,
        max_log_body=MAX_LOG_BODY,
        upstreams=upstreams,
        mirrors=mirrors,
    )


def _check(field: str, value: str) -> None:
    if not value.startswith("/") or set(value) & set(" \t\n\r;{}\"'$\\#"):
        fix = "Use an absolute path without blanks, quotes, dollars, semicolons and braces."
        raise Invalid(
            f"{field}: {value!r} cannot be used by nginx.", problems=[FieldProblem(field, value, fix)], hint=fix
        )


def _upstream(served: Served) -> str:
    upstream = served.upstream
    if upstream.scheme == "unix":
        _check("mirror_upstreams", upstream.socket)
        servers = [f"unix:{upstream.socket}"]
    else:
        servers = [f"[{a}]:{upstream.port}" if ":" in a else f"{a}:{upstream.port}" for a in served.addresses]
    if not servers:
        return ""
    # max_fails=0: with one upstream, taking it out of service for 10 s after a hiccup only adds failures.
    lines = "".join(f"        server {server} max_fails=0;\n" for server in servers)
    return f"\n    upstream mirror_{upstream.name} {{\n{lines}        keepalive 8;\n    }}\n"


def _mirror(served: Served, front: Front) -> str:
    upstream = served.upstream
    if upstream.scheme != "unix" and not served.addresses:
        return _UNRESOLVED.format(name=upstream.name, host=upstream.host)
    return _MIRROR.format(
        name=upstream.name,
        suites=OUR_SUITES,
        pool=POOL,
        own=front.udebs_dir / upstream.name,
        path=upstream.path,
        host=upstream.authority,
        scheme="https" if upstream.scheme == "https" else "http",
        tls=_TLS.format(host=upstream.host, bundle=CA_BUNDLE) if upstream.scheme == "https" else "",
        immutable=IMMUTABLE,
    )


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
        '"cache":"$upstream_cache_status","agent":"$http_user_agent"}}';
    access_log {access_log} json;

    proxy_http_version 1.1;
    proxy_connect_timeout 10s;
    proxy_cache_path {cache_dir} levels=1:2 keys_zone=packages:16m inactive=30d max_size={max_cache} use_temp_path=off;

    # Kept open for a shorter time than the node application keeps them, so that none is used as it is being closed.
    upstream node {{
        server unix:{node_socket} max_fails=0;
        keepalive 64;
        keepalive_timeout 3s;
    }}
{upstreams}
    server {{
        listen {listen};

        error_page 400 @bad_request;
        error_page 403 405 @not_allowed;
        error_page 404 @not_here;
        error_page 408 @too_slow;
        error_page 413 @too_large;
        error_page 414 494 @bad_request;
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
            return 404 "This appliance has no mirror of that name; PXEAPP_MIRROR_UPSTREAMS names them.\\n";
        }}

        location @bad_request {{
            internal;
            default_type text/plain;
            return 400 "The request cannot be understood: its line or a header is malformed or too long.\\n";
        }}
        location @not_allowed {{
            internal;
            default_type text/plain;
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

_TLS = """
            proxy_ssl_server_name on;
            proxy_ssl_name {host};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 5;
            proxy_ssl_trusted_certificate {bundle};"""

_MIRROR = """
        # Installer suites of our own, beside the mirror's: the installer looks for both below one address.
        location ^~ /mirror/{name}/dists/{suites} {{
            if ($request_method !~ ^(GET|HEAD)$) {{
                return 405;
            }}
            alias {own}/dists/{suites};
            disable_symlinks on from={own}/;
        }}
        location ^~ /mirror/{name}/{pool}/ {{
            if ($request_method !~ ^(GET|HEAD)$) {{
                return 405;
            }}
            alias {own}/{pool}/;
            disable_symlinks on from={own}/;
        }}
        location ^~ /mirror/{name}/ {{
            if ($request_method !~ ^(GET|HEAD)$) {{
                return 405;
            }}
            proxy_set_header Host {host};
            proxy_set_header User-Agent pxeapp-mirror;
            proxy_set_header Connection "";
            proxy_set_header Accept-Encoding "";
            # Nothing of the client's goes out, and no upstream steers us: X-Accel-Redirect could name /_media/.
            proxy_pass_request_headers off;
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering
                X-Accel-Charset Cache-Control Expires Set-Cookie Vary;
            proxy_hide_header Set-Cookie;
            proxy_read_timeout 60s;{tls}

            proxy_cache packages;
            proxy_cache_key "{name} {host}$uri";
            proxy_cache_lock on;
            proxy_cache_lock_timeout 10m;
            proxy_cache_lock_age 10m;
            proxy_cache_revalidate on;
            proxy_cache_use_stale error timeout invalid_header http_500 http_502 http_503 http_504;
            add_header X-Cache $upstream_cache_status;

            proxy_intercept_errors on;
            error_page 301 302 303 307 308 =502 @moved_{name};
            error_page 403 404 410 =404 @missing_{name};
            error_page 400 401 429 500 502 503 504 =502 @failed_{name};
            error_page 405 @not_allowed;

            # Indexes are asked for again each time (a 304 is cheap); one second lets a crowd share one answer.
            proxy_cache_valid 200 1s;
            # The query is dropped: it would only make one file into many.
            rewrite ^/mirror/{name}/(.*)$ {path}/$1? break;
            proxy_pass {scheme}://mirror_{name};

            location ~ {immutable} {{
                proxy_cache_valid 200 365d;
                if ($request_method !~ ^(GET|HEAD)$) {{
                    return 405;
                }}
                rewrite ^/mirror/{name}/(.*)$ {path}/$1? break;
                proxy_pass {scheme}://mirror_{name};
            }}
        }}
        location @moved_{name} {{
            internal;
            default_type text/plain;
            return 502 "The upstream of the mirror {name} redirects elsewhere; name the final address.\\n";
        }}
        location @missing_{name} {{
            internal;
            default_type text/plain;
            return 404 "The upstream of the mirror {name} has no such file.\\n";
        }}
        location @failed_{name} {{
            internal;
            default_type text/plain;
            return 502 "The upstream of the mirror {name} does not answer, and the file is not in our cache.\\n";
        }}
"""

_UNRESOLVED = """
        location ^~ /mirror/{name}/ {{
            default_type text/plain;
            return 502 "The upstream of the mirror {name}, {host}, cannot be resolved by this appliance.\\n";
        }}
"""
