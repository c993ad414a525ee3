# syntax=docker/dockerfile:1
# The service of one project. From the root of the repository:
#   docker build -f docker/service.Dockerfile --build-arg PROJECT=housing .

FROM python:3.13-slim AS tools
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_ROOT_USER_ACTION=ignore
COPY requirements/installer.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    pip install --quiet --disable-pip-version-check --require-hashes -r /build/installer.lock

# What the project needs: built anew only when its lock changes.
FROM tools AS dependencies
ARG PROJECT
COPY requirements/${PROJECT}-service.lock /build/lock
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
    && uv pip sync --quiet --python /opt/venv --require-hashes --compile-bytecode /build/lock \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

# The code: a folder of its own, so that a change in it leaves the layer of the dependencies as it is.
FROM tools AS code
ARG PROJECT
COPY LICENSE /build/
COPY shared /build/shared
COPY projects/${PROJECT} /build/project
RUN --mount=type=cache,target=/root/.cache \
    --mount=type=bind,from=dependencies,source=/opt/venv,target=/opt/venv \
    for package in shared project; do \
        uv build --quiet --wheel --no-build-isolation --python /usr/local/bin/python \
            --out-dir /build/wheels /build/$package || exit 1; \
    done \
    && uv pip install --quiet --python /opt/venv --no-deps --no-index --compile-bytecode --target /opt/code \
        /build/wheels/*.whl \
    && ln -s ${PROJECT} /opt/code/bin/project \
    && rm -r -f /opt/code/*/data/sample /opt/code/*/models/pretrained  # what a training starts from

FROM python:3.13-slim
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install -d -o app -g app /srv/.state /srv/predictions
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=code /opt/code /opt/code
ENV PATH=/opt/code/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/healthcheck.py", "8000", "/readyz"]
ENTRYPOINT ["project"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]

# Last, because they change with every commit.
ARG PROJECT
ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="${PROJECT} service" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
