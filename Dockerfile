# Two images from one build: `api` and `worker`.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p drover-api -p drover-worker \
 && install -D -t /out target/release/drover-api target/release/drover-worker

# Both run as the same unprivileged user, who owns the volume they share.
FROM debian:bookworm-slim AS api
RUN useradd --uid 10001 --create-home --home-dir /var/lib/drover drover
COPY --from=build /out/drover-api /usr/local/bin/
USER drover
VOLUME /var/lib/drover
ENV DROVER_DATA_DIR=/var/lib/drover
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["drover-api", "ping"]
ENTRYPOINT ["drover-api"]

# node and npm: the Claude CLI is installed from npm when the first worker starts, never shipped.
FROM node:22-bookworm-slim AS worker
RUN useradd --uid 10001 --create-home --home-dir /var/lib/drover drover
COPY --from=build /out/drover-worker /usr/local/bin/
USER drover
VOLUME /var/lib/drover
ENV DROVER_DATA_DIR=/var/lib/drover HOME=/var/lib/drover
HEALTHCHECK --interval=5s --timeout=3s --start-period=120s CMD ["drover-worker", "ping"]
ENTRYPOINT ["drover-worker"]
