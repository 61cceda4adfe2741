# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The queries were checked when .sqlx was written: building needs no database.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --bin liaison \
    && install -D target/release/liaison /out/liaison

FROM debian:bookworm-slim
# PostgreSQL is for the embedded default, and is not started where database.url is set. Its package is to
# create no cluster of its own.
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/no-main.conf \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/liaison --shell /usr/sbin/nologin liaison \
    && install -d -o liaison -g liaison -m 0700 /var/lib/liaison
COPY --from=build /out/liaison /usr/local/bin/liaison

USER liaison
# What is relative in the configuration is in here: data (the embedded PostgreSQL) and config/secret.key.
WORKDIR /var/lib/liaison
VOLUME /var/lib/liaison
ENV LIAISON_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
# Without curl: Debian's bash opens connections itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /-/readiness HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
# SIGTERM: deliveries that were taken are finished, then the embedded PostgreSQL stops.
STOPSIGNAL SIGTERM
ENTRYPOINT ["liaison"]
CMD ["serve"]
