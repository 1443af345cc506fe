# Tidegate in a container: built from source, run without root.
#
#   docker build -t tidegate .
#   docker run -p 8080:8080 -v "$PWD/my-conf:/etc/tidegate:ro" tidegate
#
# Mount the folder, not the file: an editor replaces a file, and a mounted file would stay the old one.
# A new version is a new container: an upgrade within one (SIGUSR2) is refused, since it ends with its first process.
# `docker stop` waits 10 s before it kills; give it `--time` more than `shutdown.grace` (30s unless the file says so).

FROM rust:1-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --features redis-tls,redis-cluster,otlp --bin tidegate

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tidegate \
    && mkdir /etc/tidegate
COPY --from=build /src/target/release/tidegate /usr/local/bin/tidegate
USER 10001
EXPOSE 8080 9900
# Where the health check and `docker exec … tidegate status` find the stats port; change it with `admin.addr`.
ENV TIDEGATE_ADMIN=127.0.0.1:9900
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["tidegate", "status"]
# The program is process 1 and handles its signals itself: no shell in between.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidegate"]
CMD ["run", "-c", "/etc/tidegate/tidegate.yaml"]
