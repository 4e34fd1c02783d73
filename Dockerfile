# syntax=docker/dockerfile:1
# One static binary and the public certificate authorities, nothing else: no shell, no package manager, no libc.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# An explicit target keeps the flag away from build scripts and procedural macros, which cannot be linked statically.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked -p atoll --target "$target" \
    && install -D -m 0755 "target/$target/release/atoll" /out/atoll

FROM scratch
COPY --from=build /out/atoll /atoll
# For workers whose API server has a certificate of a public authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/atoll"]
CMD ["run"]
