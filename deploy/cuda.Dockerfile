# The image for machines with an NVIDIA GPU: docker build -f deploy/cuda.Dockerfile -t pom2dib:cuda .
#
# UNTESTED: it does not build until the program has a feature "cuda", which is not there yet.
ARG CUDA=13.0.1
ARG SYSTEM=ubuntu24.04

FROM nvidia/cuda:${CUDA}-devel-${SYSTEM} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates curl gcc libc6-dev
ENV PATH=/root/.cargo/bin:${PATH}
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.95
WORKDIR /pom2dib
# What GPUs it is for: 80 is A100, 89 is L4 and RTX 40, 90 is H100.
ARG COMPUTE_CAPABILITY=90
ENV CUDA_COMPUTE_CAP=${COMPUTE_CAPABILITY}
COPY . .
RUN cargo build --release --locked --package pom2dib --features cuda,cloud

# With cuBLAS and cuRAND, which the program opens.
FROM nvidia/cuda:${CUDA}-runtime-${SYSTEM} AS runtime
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pom2dib \
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
COPY --from=build /pom2dib/target/release/pom2dib /usr/local/bin/pom2dib
