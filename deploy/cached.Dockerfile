# The image of the Dockerfile beside this folder, for BuildKit alone: what cargo fetches and compiles stays in caches of the builder, so
# that a changed line costs no build of all crates. The builder before BuildKit does not know such mounts, and refuses the file.
#
#   docker compose -f docker-compose.yml -f docker-compose.cached.yml up --build
#   docker build -f deploy/cached.Dockerfile -t pom2dib .
#
# `docker builder prune --filter type=exec.cachemount` empties the caches.
ARG BASE=debian:bookworm-slim
ARG RUST=rust:1.95-bookworm

# ---------------------------------------------------------------------------------------------------------------
# What does not change with the program.
FROM ${BASE} AS base
# Object stores and mirrors are trusted by these. A base that has them already needs no network here.
RUN test -s /etc/ssl/certs/ca-certificates.crt || { \
        apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*; }
# A volume that is mounted here first takes over this owner.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pom2dib \
    && install --directory --owner pom2dib --mode 0755 /var/lib/pom2dib
# A round frees and allocates the same megabytes again and again: the allocator is not to give them back in between.
ENV MIMALLOC_PURGE_DELAY=-1 \
    POM2DIB_OUT=/var/lib/pom2dib/run
WORKDIR /var/lib/pom2dib
USER 10001
# The coordinator saves a checkpoint first, a node leaves after one.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pom2dib"]
CMD ["--help"]
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pom2dib" \
      org.opencontainers.image.description="A distributed simulator for multi-modal multi-task semantic communication" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# ---------------------------------------------------------------------------------------------------------------
# The program. What lies in a cache is in no layer: hence the copy.
FROM ${RUST} AS build
# Certificates, object stores, digital links, traces and the live table; empty is for none of these.
ARG FEATURES=certs,cloud,digital,otlp,tui
WORKDIR /pom2dib
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/pom2dib/target,sharing=locked \
    cargo build --release --locked --package pom2dib --features "${FEATURES}" \
    && install -D target/release/pom2dib /built/pom2dib

# ---------------------------------------------------------------------------------------------------------------
FROM base AS runtime
COPY --from=build /built/pom2dib /usr/local/bin/pom2dib
