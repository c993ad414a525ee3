# syntax=docker/dockerfile:1
# The MLflow server: the trainers' version of it, and a driver for PostgreSQL. From the root of the repository:
#   docker build -f docker/mlflow.Dockerfile .

FROM python:3.13-slim AS dependencies
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_ROOT_USER_ACTION=ignore
COPY requirements/installer.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    pip install --quiet --disable-pip-version-check --require-hashes -r /build/installer.lock
# mlflow, or mlflow-s3 where models are kept in a bucket: docker/s3.yaml.
ARG LOCK=mlflow
COPY requirements/${LOCK}.lock /build/lock
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
    && uv pip sync --quiet --python /opt/venv --require-hashes --compile-bytecode /build/lock \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

FROM python:3.13-slim
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install -d -o app -g app /mlflow
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=dependencies /opt/venv /opt/venv
# Without the job runner and its six consumers, which nothing here uses, and without usage data to third parties.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore \
    MLFLOW_BACKEND_STORE_URI=sqlite:////mlflow/mlflow.db MLFLOW_ARTIFACTS_DESTINATION=/mlflow/artifacts \
    MLFLOW_SERVER_ALLOWED_HOSTS=localhost,localhost:*,127.0.0.1,127.0.0.1:* \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
WORKDIR /mlflow
USER 10001:10001
EXPOSE 5500
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=1s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/healthcheck.py", "5500", "/health"]
ENTRYPOINT ["mlflow", "server", "--host", "0.0.0.0", "--port", "5500", "--workers", "1", "--serve-artifacts", \
    "--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3"]

ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="MLflow server" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
