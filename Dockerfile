# alpmon without a shell, a package manager or root. Build it with image/build, which gives it its version.
# Both bases are Debian 12, so that the virtual environment made in one finds its Python in the other. They are named by
# tags, which move; --build-arg BUILD_DIGEST=sha256:... and RUNTIME_DIGEST=sha256:... hold them still.
ARG BUILD_IMAGE=debian:12-slim
ARG BUILD_DIGEST=
ARG RUNTIME_IMAGE=gcr.io/distroless/python3-debian12:nonroot
ARG RUNTIME_DIGEST=

FROM ${BUILD_IMAGE}${BUILD_DIGEST:+@}${BUILD_DIGEST} AS build
# the base's tag decides which patch of Python there is: the runtime base must have the same
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends python3-venv \
  && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /tools && python3 -m venv --without-pip /alpmon
WORKDIR /src
COPY image/*.lock image/
RUN /tools/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement image/build.lock \
  && /tools/bin/pip --python /alpmon/bin/python install --no-cache-dir --no-compile --require-hashes \
    --only-binary=:all: --requirement image/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY alpmon alpmon
# bytecode made now, because a read-only root takes none later; without times and chance in it, it is always the same
RUN /tools/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheel . \
  && /tools/bin/pip --python /alpmon/bin/python install --no-cache-dir --no-compile --no-index --no-deps /wheel/*.whl \
  && PYTHONHASHSEED=0 /alpmon/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /alpmon/lib

FROM ${RUNTIME_IMAGE}${RUNTIME_DIGEST:+@}${RUNTIME_DIGEST}
ARG RUNTIME_IMAGE
ARG RUNTIME_DIGEST
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="alpmon" \
  org.opencontainers.image.description="Prometheus-instrumented connection health monitor for the Alp Exchange WebSocket" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.base.name="${RUNTIME_IMAGE}${RUNTIME_DIGEST:+@}${RUNTIME_DIGEST}"
COPY --from=build /alpmon /alpmon
ENV PATH=/alpmon/bin:/usr/bin PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 9719
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["alpmon", "health"]
ENTRYPOINT ["alpmon"]
CMD ["run", "--listen", ":9719"]
