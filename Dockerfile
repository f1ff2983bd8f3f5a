# The whole installation in one image: the cip binary on glibc, no shell, run as a numbered user that owns only its data.

FROM docker.io/oven/bun:1.4.5-slim AS build
WORKDIR /build
# Dependencies change less often than sources, so they are a layer of their own.
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production
COPY tsconfig.json ./
COPY prompts prompts/
COPY sql sql/
COPY public public/
COPY src src/
RUN bun src/build/build.ts
# The last stage has no shell to make a folder with.
RUN mkdir /data

# The binary needs libc, libm, libdl and libpthread; it carries its own TLS.
FROM gcr.io/distroless/base-nossl-debian13:nonroot
LABEL org.opencontainers.image.title="cip" \
      org.opencontainers.image.description="An AI chat on any web site: one binary, many sites, no answer lost" \
      org.opencontainers.image.licenses="MIT"
# .env, tenants/ and prompts/ are read from here; of all folders only data/ has to be writable.
WORKDIR /app
COPY --from=build --chown=65532:65532 /data data/
COPY --from=build /build/dist/cip /usr/local/bin/cip
# A number, not a name: Kubernetes' runAsNonRoot cannot check a name.
USER 65532:65532
VOLUME /app/data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["/usr/local/bin/cip", "health"]
ENTRYPOINT ["/usr/local/bin/cip"]
