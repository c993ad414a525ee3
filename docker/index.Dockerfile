# syntax=docker/dockerfile:1
# The start page, which leads to everything else. From the root of the repository:
#   docker build -f docker/index.Dockerfile .

FROM python:3.13-slim AS build
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_ROOT_USER_ACTION=ignore
COPY requirements/installer.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    pip install --quiet --disable-pip-version-check --require-hashes -r /build/installer.lock
COPY requirements/index.lock /build/lock
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
    && uv pip sync --quiet --python /opt/venv --require-hashes --compile-bytecode /build/lock \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +
COPY LICENSE /build/
COPY shared /build/shared
RUN uv build --quiet --wheel --no-build-isolation --python /usr/local/bin/python --out-dir /build/wheels /build/shared \
    && uv pip install --quiet --python /opt/venv --no-deps --no-index --compile-bytecode --target /opt/code \
        /build/wheels/*.whl
COPY --chmod=0644 docker/start_page.py /opt/code/

# The titles of the demos, from the projects' own tables.
FROM python:3.13-slim AS table
COPY scripts/project_table.py /build/scripts/
COPY projects /build/projects
RUN python -I /build/scripts/project_table.py >/build/projects.json && chmod 644 /build/projects.json

FROM python:3.13-slim
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=build /opt/venv /opt/venv
COPY --link --from=build /opt/code /opt/code
COPY --link --from=table /build/projects.json /opt/code/
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/healthcheck.py", "8000", "/healthz"]
ENTRYPOINT ["python", "/opt/code/start_page.py"]

ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="start page" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
