"""Apache httpd's configuration for an operator's own front. Pure: a `Site` in, text out.

    /repo/     files of this appliance's own repositories, sent by httpd
    /mirror/   our own nginx, which caches
    all else   the node application on its socket; it sends /media/ itself, since httpd has no X-Accel-Redirect

What stands in a path of /a/ and /c/ is a token: neither log has it, whatever becomes of the request.
"""

from __future__ import annotations

from pxeapp.software.front.spec import Site, check_site

MODULES = ("alias", "authz_core", "headers", "log_config", "proxy", "proxy_http", "reqtimeout", "setenvif")
MAX_BODY = 16 * 1024 * 1024  # PUT /c/TOKEN/logs/NAME; the application has its own, smaller limits


LOGGED = {
    "at": "%{%Y-%m-%dT%H:%M:%S%z}t",
    "client": "%a",
    "method": "%m",
    "path": "%{pxeapp_path}e",
    "status": "%>s",
    "bytes": "%B",
    "agent": "%{User-Agent}i",
}


def render(site: Site) -> str:
    """The whole file, to be included; raises Invalid when something in it could mean something else."""
    check_site(site, "httpd")
    tls = site.certificate is not None and site.key is not None
    return _SITE.format(
        modules=" ".join((*MODULES, *(("ssl",) if tls else ()))),
        port=site.port,
        name=f"    ServerName {site.name}\n" if site.name else "",
        tls=_TLS.format(certificate=site.certificate, key=site.key) if tls else "",
        logged="{" + ",".join(rf"\"{name}\":\"{value}\"" for name, value in LOGGED.items()) + "}",
        max_body=MAX_BODY,
        repo_dir=site.front.repo_dir,
        cache=site.cache,
        node_socket=site.front.node_socket,
        logs=site.logs,
    )


_TLS = """\
    SSLEngine on
    SSLCertificateFile "{certificate}"
    SSLCertificateKeyFile "{key}"
    SSLProtocol -all +TLSv1.2 +TLSv1.3

"""

_SITE = """\
# Written by: pxeapp front config --for httpd
# Needs the modules: {modules}
# httpd's user has to read {repo_dir} and to write to {node_socket}.
Listen {port}

LogFormat "{logged}" pxeapp

<VirtualHost *:{port}>
{name}{tls}    ServerSignature Off
    TraceEnable Off
    LimitRequestBody {max_body}
    RequestReadTimeout header=10 body=15,MinRate=500

    ErrorLog "{logs}/error.log"
    CustomLog "{logs}/access.log" pxeapp
    # Looked at when httpd has decoded the path, so that no spelling of it gets past.
    <Location "/">
        SetEnvIf Request_URI "^(.*)$" pxeapp_path=$1
        SetEnvIf Request_URI "^/(a|c)/[^/]*(/.*)?$" pxeapp_path=/$1/***$2
    </Location>
    <LocationMatch "^/[ac]/">
        # httpd's own messages name the path.
        LogLevel emerg
    </LocationMatch>

    ProxyRequests Off
    ProxyPreserveHost On
    ProxyAddHeaders Off
    ProxyTimeout 60
    # The address is the connection's own; what a client says about it is thrown away.
    RequestHeader set X-Real-IP "expr=%{{REMOTE_ADDR}}"
    RequestHeader unset X-Forwarded-For
    RequestHeader unset X-Forwarded-Host
    RequestHeader unset X-Forwarded-Proto
    RequestHeader unset X-Forwarded-Prefix
    RequestHeader unset Forwarded
    RequestHeader unset X-Sendfile-Type

    ErrorDocument 403 "Files are only read here: use GET or HEAD, on a file and not a folder."
    ErrorDocument 404 "There is no such file on this appliance."
    ErrorDocument 503 "The appliance's node application does not answer; it is restarted by itself, try again."

    Alias "/repo/" "{repo_dir}/"
    <Directory "{repo_dir}">
        Options None
        AllowOverride None
        Require method GET HEAD
    </Directory>

    ProxyPass "/repo/" "!"
    ProxyPass "/mirror/" "http://{cache}/mirror/" nocanon timeout=180
    ProxyPass "/" "unix:{node_socket}|http://node/" nocanon
</VirtualHost>
"""
