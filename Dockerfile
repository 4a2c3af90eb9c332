# The appliance in a container: `docker build -t pxeapp .`, or `make image` where there is no engine.
#
#   docker run -d --name pxeapp --network host -v pxeapp:/var/lib/pxeapp pxeapp
#   docker logs pxeapp          the one-time password of the first start
#
# It runs as the user pxeapp (uid 969), never as root. Ports: 8080 operators, 8081 machines, 69/udp TFTP.
# - Host networking is the plain choice: TFTP answers from a new port for each file, and DHCP is broadcast.
# - TFTP's port 69 needs CAP_NET_BIND_SERVICE, which every engine gives by default. With --cap-drop=ALL add it back
#   (--cap-add=NET_BIND_SERVICE), or the program cannot start. Under no-new-privileges file capabilities do not count:
#   use --sysctl net.ipv4.ip_unprivileged_port_start=0, or PXEAPP_TFTP_LISTEN=0.0.0.0:1069 with the port mapped.
# - DHCP (PXEAPP_DHCP=proxy|full, PXEAPP_DHCP_INTERFACE) also needs --cap-add=NET_ADMIN --cap-add=NET_RAW.
# - A company's package index: docker build --secret id=pip,src=/etc/pip.conf. It is in no layer.

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv ca-certificates >/dev/null
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# The appliance's environment has no pip of its own. Its Python is a copy, so that it alone is given a capability below.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /build && python3 -m venv --copies --without-pip /opt/pxeapp && \
    /build/bin/pip install -qq --disable-pip-version-check --no-cache-dir -r requirements-build.lock && \
    /build/bin/pip --python /opt/pxeapp/bin/python install -qq --disable-pip-version-check --no-cache-dir -r requirements.lock
COPY . .
RUN [ web/vendor/version -nt web/package.json ] || { \
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends npm >/dev/null && web/build.sh; }
RUN /build/bin/python -m hatchling build -t wheel -d /wheels && \
    /build/bin/pip --python /opt/pxeapp/bin/python install -qq --disable-pip-version-check --no-index --no-deps /wheels/*.whl && \
    install -m 755 packaging/healthcheck.py /opt/pxeapp/bin/healthcheck.py

FROM ${BASE}
LABEL org.opencontainers.image.title="pxeapp" \
      org.opencontainers.image.description="Bare-metal provisioning appliance" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY packaging/setup.sh /tmp/setup.sh
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        python3 tini libcap2-bin $(sh /tmp/setup.sh run --packages) >/dev/null && \
    rm -rf /tmp/setup.sh /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old && \
    useradd --system --uid 969 --user-group --home-dir /var/lib/pxeapp --shell /usr/sbin/nologin pxeapp && \
    install -d -m 750 -o pxeapp -g pxeapp /var/lib/pxeapp && \
    setcap cap_net_bind_service,cap_net_admin,cap_net_raw=ep /usr/sbin/dnsmasq
COPY --from=build /opt/pxeapp /opt/pxeapp
RUN setcap cap_net_bind_service=ep "$(readlink -f /opt/pxeapp/bin/python)"
ENV PATH=/opt/pxeapp/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    PYTHONUNBUFFERED=1 \
    PXEAPP_DATA_DIR=/var/lib/pxeapp
WORKDIR /var/lib/pxeapp
USER pxeapp
VOLUME /var/lib/pxeapp
EXPOSE 8080 8081 69/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/opt/pxeapp/bin/healthcheck.py"]
# tini reaps what a killed nginx leaves behind; the appliance itself is the command.
ENTRYPOINT ["tini", "--", "pxeapp"]
CMD ["serve"]
