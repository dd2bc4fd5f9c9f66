# Doorward as a container image. Nothing secret goes in: configuration, keys and certificates are mounted when it runs.
#
#   docker build --tag doorward .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#       --volume "$PWD/deployed:/etc/doorward:ro" --volume doorward-data:/var/lib/doorward --publish 8443:8443 doorward
#
# Where no container engine is at hand, deploy/check-dockerfile.sh does what this file says in another way.

ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-bookworm AS build
# --build-arg OPTIMISE=no: a plain release build, in half the time.
ARG OPTIMISE=yes
# What the optimised build is trained with.
RUN if [ "$OPTIMISE" = yes ]; then apt-get update && apt-get install --yes --no-install-recommends nghttp2-client nginx-light openssl python3 util-linux wrk && rustup component add llvm-tools; fi
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo ./.cargo
COPY src ./src
COPY benches ./benches
COPY deploy/optimise.sh ./deploy/
RUN if [ "$OPTIMISE" = yes ]; then deploy/optimise.sh; else cargo build --release --locked --bin doorward && install -D target/release/doorward target/optimised/doorward; fi

FROM debian:bookworm-slim
# The authorities that https upstreams and identity providers are verified against.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
# The store lives here. The number is also the owner that a mounted volume needs.
RUN install --directory --owner 65532 --group 65532 --mode 0750 /var/lib/doorward
COPY --from=build /src/target/optimised/doorward /usr/local/bin/doorward
COPY LICENSE /usr/share/doc/doorward/LICENSE
ENV DOORWARD_CONFIG=/etc/doorward/config.toml
USER 65532:65532
WORKDIR /var/lib/doorward
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/doorward", "health"]
ENTRYPOINT ["/usr/local/bin/doorward"]
CMD ["run"]
