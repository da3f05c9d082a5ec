# The image of every role: one program, the certificates of the world's authorities, a user who is not root.
#
#   docker build -t pom2dib .                         from the sources; what `docker compose up` does by itself
#   docker build -t pom2dib --target prebuilt .       around target/release/pom2dib, built on a system with this base's glibc
#
# Both builders know all that stands here: BuildKit, and the one before it (docker-compose 1.29). That one builds every
# stage down to its target: hence the order.
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

FROM base AS prebuilt
COPY target/release/pom2dib /usr/local/bin/pom2dib

# ---------------------------------------------------------------------------------------------------------------
# The program, its dependencies in a layer of their own: they are built again only when Cargo.lock or a manifest changes.
FROM ${RUST} AS tools
RUN cargo install cargo-chef --version 0.1.78 --locked
WORKDIR /pom2dib

FROM tools AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM tools AS build
# Certificates, object stores, digital links, traces and the live table; empty is for none of these.
ARG FEATURES=certs,cloud,digital,otlp,tui
COPY --from=plan /pom2dib/recipe.json .
# Crates of others are built against these.
COPY stubs stubs
RUN cargo chef cook --release --locked --package pom2dib --features "${FEATURES}" --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package pom2dib --features "${FEATURES}"

# ---------------------------------------------------------------------------------------------------------------
FROM base AS runtime
COPY --from=build /pom2dib/target/release/pom2dib /usr/local/bin/pom2dib
