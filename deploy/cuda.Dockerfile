# The image for machines with an NVIDIA GPU and the NVIDIA container toolkit.
#
#   docker build -f deploy/cuda.Dockerfile -t pom2dib:cuda .                       from the sources
#   docker build -f deploy/cuda.Dockerfile -t pom2dib:cuda --target prebuilt .     around what deploy/build-cuda.sh built
#
# The program is built without NVIDIA's toolkit, as docs/cuda.md says, and opens cuBLAS and cuRAND of the image below and the
# driver that the container toolkit puts into it.
ARG BASE=nvidia/cuda:13.0.1-runtime-ubuntu24.04
ARG RUST=rust:1.95-bookworm

FROM ${BASE} AS base
RUN test -s /etc/ssl/certs/ca-certificates.crt || { \
        apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*; }
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pom2dib \
    && install --directory --owner pom2dib --mode 0755 /var/lib/pom2dib
ENV MIMALLOC_PURGE_DELAY=-1 \
    POM2DIB_OUT=/var/lib/pom2dib/run
WORKDIR /var/lib/pom2dib
USER 10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["pom2dib"]
CMD ["--help"]
LABEL org.opencontainers.image.title="pom2dib" \
      org.opencontainers.image.description="A distributed simulator for multi-modal multi-task semantic communication, for CUDA" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM base AS prebuilt
ARG PROGRAM=target/cuda/x86_64-unknown-linux-gnu/release/pom2dib
COPY ${PROGRAM} /usr/local/bin/pom2dib

FROM ${RUST} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /pom2dib
COPY . .
# What GPUs it is for: 80 is A100, 89 is L4 and RTX 40, 90 is H100 and H200.
ARG COMPUTE_CAPABILITY=90
# Certificates, object stores, digital links, traces and the live table; empty is for none of these.
ARG FEATURES=certs,cloud,digital,otlp,tui
RUN CUDA_COMPUTE_CAP=${COMPUTE_CAPABILITY} deploy/build-cuda.sh build --locked --package pom2dib --features "${FEATURES}"

FROM base AS runtime
COPY --from=build /pom2dib/target/cuda/x86_64-unknown-linux-gnu/release/pom2dib /usr/local/bin/pom2dib
