# syntax=docker/dockerfile:1
# Image of a broker node (docs/brokers.md), from scratch as those of ./Dockerfile. From the repository's root:
#
#   docker build -f configs/docker/rmqtt-node.Dockerfile -t registry.example.org/roadlake/rmqtt-node:0.1.0 .

FROM rust:1.95-bookworm AS program
WORKDIR /build
COPY cross/rmqtt cross/rmqtt
COPY configs/docker/collect-root configs/docker/
RUN --mount=type=cache,target=/build/target --mount=type=cache,target=/usr/local/cargo/registry \
    program=$(cross/rmqtt/build --release) && configs/docker/collect-root "$program" /root-of-image

FROM scratch
COPY --from=program /root-of-image /
USER 65532:65532
EXPOSE 8883 5363 6003 6060
ENTRYPOINT ["/usr/bin/rmqtt-node"]
