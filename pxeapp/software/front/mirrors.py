"""The part of nginx's configuration that leads to upstreams: the mirror at /mirror/NAME/, and the proxy.

    an index             asked of our own index sets, over a socket: see cache/indexes/serving.py
    a package            pulled through the cache, kept for good: a version is never built twice
    anything else        pulled through, and asked again each time
    http://HOST/PATH     as a proxy is asked: the same as /mirror/NAME/ of the upstream that is there, or refused

An upstream that is offline has the index server in its place, which answers 504 to whatever is not in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pxeapp.software.cache.indexes.serving import PLAIN
from pxeapp.software.front.spec import Front, Served, check_paths
from pxeapp.software.udebs.suite import POOL

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
OUR_SUITES = "pxeapp-"  # what our own suites' names begin with

# Files whose name says what they hold.
IMMUTABLE = r"(\.(deb|udeb|ddeb|dsc|rpm|drpm)|/pool/.*\.(tar\.[a-z0-9]+|diff\.gz|asc|tar))$"
# What a set may name: everything of a suite, and everything of a yum repository's metadata.
INDEX = r"(/dists/.|/repodata/.|/(InRelease|Release|Release\.gpg|(Packages|Sources)(\.[a-z0-9]+)?)$|/by-hash/)"


def zones(front: Front) -> str:
    """The caches, one for each upstream, so that one that is large pushes nobody else's packages out."""
    return "".join(
        f"    proxy_cache_path {front.cache_dir}/{served.upstream.name} levels=1:2 "
        f"keys_zone=of_{served.upstream.name}:8m inactive=10y max_size={served.max_bytes} use_temp_path=off;\n"
        for served in front.mirrors
    )


def upstreams(front: Front) -> str:
    """Where nginx finds each."""
    return "".join(_upstream(served, front) for served in front.mirrors)


def locations(front: Front) -> str:
    """The mirrors."""
    return "".join(_mirror(served, front) for served in front.mirrors)


def proxied(front: Front) -> str:
    """Which path here answers what a proxy is asked for, as lines of a map over `HOST[:PORT] OURS PATH`."""
    return "".join(f"        {line}\n" for line in _proxied(front))


def _proxied(front: Front) -> Iterator[str]:
    for host in front.own_hosts:
        yield f'"~*^{re.escape(host)} " "";'
    for served in front.mirrors:
        for address in sorted(served.hosts, key=len, reverse=True):
            host, slash, path = address.partition("/")
            port = "" if re.search(r":[0-9]+$", host) else "(:80)?"
            asked = f"(?i:{re.escape(host)}){port} [^ ]* {re.escape(f'{slash}{path}')}(?<proxied_rest>/.+)"
            yield f'"~^{asked}$" /mirror/{served.upstream.name}$proxied_rest;'


def _upstream(served: Served, front: Front) -> str:
    upstream = served.upstream
    if served.offline:
        servers = [f"unix:{front.indexes_socket}"]
    elif upstream.scheme == "unix":
        check_paths([("mirror_upstreams", Path(upstream.socket))], "nginx")
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
    name = upstream.name
    own = _OWN.format(name=name, suites=OUR_SUITES, pool=POOL, own=front.udebs_dir / name)
    if not served.offline and not served.is_reachable:
        return own + _UNRESOLVED.format(name=name, host=upstream.host)
    https = upstream.scheme == "https" and not served.offline
    said = {
        "name": name,
        "path": upstream.path,
        "immutable": IMMUTABLE,
        "index": INDEX,
        "plain": PLAIN,
        "target": f"{'https' if https else 'http'}://mirror_{name}",
        "common": _COMMON.format(
            name=name,
            host=upstream.authority,
            tls=_TLS.format(host=upstream.host, bundle=CA_BUNDLE) if https else "",
            offline=_OFFLINE_HEADER if served.offline else "",
        ),
        "kept": _KEPT if served.keep_packages else _NOT_KEPT,
        "status": 504 if served.offline else 502,
        "why": "is switched off here" if served.offline else "does not answer",
    }
    return own + _MIRROR.format(**said)


_TLS = """
            proxy_ssl_server_name on;
            proxy_ssl_name {host};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 5;
            proxy_ssl_trusted_certificate {bundle};"""

_OFFLINE_HEADER = """
            proxy_set_header X-Pxeapp-Offline on;"""

_OWN = """
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
"""

_COMMON = """\
            proxy_set_header Host {host};
            proxy_set_header User-Agent pxeapp-mirror;
            proxy_set_header Connection "";
            proxy_set_header Accept-Encoding "";{offline}
            # Nothing of the client's goes out, and no upstream steers us: X-Accel-Redirect could name /_media/.
            proxy_pass_request_headers off;
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering
                X-Accel-Charset Cache-Control Expires Set-Cookie Vary;
            proxy_hide_header Set-Cookie;
            proxy_hide_header X-Pxeapp-Index;
            proxy_read_timeout 60s;{tls}

            proxy_cache of_{name};
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
            error_page 400 401 429 500 502 503 504 = @failed_{name};
            error_page 405 /_not_allowed/;

            # Asked for again each time (a 304 is cheap); one second lets a crowd share one answer.
            proxy_cache_valid 200 1s;
"""

_KEPT = """proxy_cache_valid 200 365d;"""
_NOT_KEPT = """proxy_cache off;"""

_MIRROR = """
        location ^~ /mirror/{name}/ {{
            if ($request_method !~ ^(GET|HEAD)$) {{
                return 405;
            }}
{common}            # The query is dropped: it would only make one file into many.
            rewrite ^/mirror/(?<mirror>{name})/(?<mirror_file>.*)$ {path}/$mirror_file? break;
            proxy_pass {target};

            location ~ "{immutable}" {{
                {kept}
                if ($request_method !~ ^(GET|HEAD)$) {{
                    return 405;
                }}
                rewrite ^/mirror/(?<mirror>{name})/(?<mirror_file>.*)$ {path}/$mirror_file? break;
                proxy_pass {target};
            }}
            location ~ "{index}" {{
                if ($request_method !~ ^(GET|HEAD)$) {{
                    return 405;
                }}
                proxy_set_header Host indexes;
                # Whose update this is; behind another front it says so, and nobody is let in by it.
                proxy_set_header X-Real-IP "$remote_addr $http_x_real_ip";
                proxy_set_header Connection "";
                proxy_ignore_headers Set-Cookie;
                proxy_intercept_errors off;
                proxy_cache off;
                proxy_read_timeout 120s;
                rewrite ^/mirror/(?<mirror>{name})/(?<mirror_file>.*)$ /{name}/$mirror_file? break;
                proxy_pass http://indexes;
            }}
        }}
        location ^~ {plain}/{name}/ {{
            internal;
{common}            rewrite ^{plain}/{name}/(.*)$ {path}/$1? break;
            proxy_pass {target};
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
            return {status} "The upstream of the mirror {name} {why}, and the file is not in our cache.\\n";
        }}
"""

_UNRESOLVED = """
        location ^~ /mirror/{name}/ {{
            default_type text/plain;
            return 502 "The upstream of the mirror {name}, {host}, cannot be resolved or may not be contacted.\\n";
        }}
"""
