# syntax=docker/dockerfile:1
# Dagster, and beside it every project's trainings in an environment of their own: the page, the daemon and the runner
# of the profile `pipeline` are this image with three commands. From the root of the repository:
#   docker build -f docker/pipeline.Dockerfile .

FROM python:3.13-slim AS base
# LightGBM loads the OpenMP library of the system.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

FROM base AS tools
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_ROOT_USER_ACTION=ignore
COPY requirements/installer.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    pip install --quiet --disable-pip-version-check --require-hashes -r /build/installer.lock

FROM tools AS dagster
COPY requirements/pipeline.lock /build/lock
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/dagster \
    && uv pip sync --quiet --python /opt/dagster --require-hashes --compile-bytecode /build/lock \
    && find /opt/dagster -type d -name tests -prune -exec rm -r {} +

# What the projects' trainers need, together: their locks have the same versions. Without torch: pictures are trained by
# the quick recipe here.
FROM tools AS dependencies
COPY requirements/*-trainer.lock requirements/*-etl.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
    && uv pip sync --quiet --python /opt/venv --require-hashes /build/*-trainer.lock /build/*-etl.lock
# As in the trainers' images.
RUN cd /opt/venv/lib/python*/site-packages \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && rm -r mlflow/server/js \
    && for module in httpx matplotlib.pyplot mlflow.pyfunc pandera.pandas pydantic_settings rich.progress scipy.stats \
        catboost implicit lightgbm optuna pooch sklearn.ensemble sklearn.linear_model; do \
        if [ -d "${module%%.*}" ]; then /opt/venv/bin/python -W ignore -c "import $module" || exit 1; fi; \
    done \
    && echo /opt/code >portfolio.pth

FROM tools AS code
COPY LICENSE /build/
COPY shared /build/shared
COPY projects /build/projects
RUN --mount=type=cache,target=/root/.cache \
    --mount=type=bind,from=dependencies,source=/opt/venv,target=/opt/venv \
    for package in /build/shared /build/projects/*; do \
        uv build --quiet --wheel --no-build-isolation --python /usr/local/bin/python \
            --out-dir /build/wheels $package || exit 1; \
    done \
    && uv pip install --quiet --python /opt/venv --no-deps --no-index --compile-bytecode --target /opt/code \
        /build/wheels/*.whl
# The definitions, and the tables by which they know the projects.
COPY deploy/pipeline /opt/pipeline/deploy/pipeline
COPY scripts/project_table.py /opt/pipeline/scripts/
RUN cd /build/projects \
    && for name in *; do install -D -m 644 $name/pyproject.toml /opt/pipeline/projects/$name/pyproject.toml || exit 1; done \
    && chmod -R a+rX /opt/pipeline

FROM base
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install -d -o app -g app /srv/.state /srv/predictions /srv/dagster /data
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=dagster /opt/dagster /opt/dagster
COPY --link --from=code /opt/code /opt/code
COPY --link --from=code /opt/pipeline /opt/pipeline
ENV PATH=/opt/dagster/bin:$PATH PYTHONPATH=/opt/pipeline/scripts PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DAGSTER_HOME=/opt/pipeline/deploy/pipeline DAGSTER_DISABLE_TELEMETRY=1 PIPELINE_STATE=/srv/dagster \
    PIPELINE_RUNNER_HOST=runner PIPELINE_RUNNER_PORT=4000 PIPELINE_COMMANDS=/opt/code/bin PIPELINE_FOLDER=/srv \
    PORTFOLIO_DATA_DIR=/data MPLCONFIGDIR=/tmp/matplotlib OMP_WAIT_POLICY=PASSIVE
WORKDIR /opt/pipeline/deploy/pipeline
USER 10001:10001
CMD ["python", "runner.py", "--python-file", "definitions.py", "--host", "runner", "--port", "4000"]

# Last, because they change with every commit. The commit is recorded in every model that is trained here.
ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
ENV GIT_COMMIT=${GIT_COMMIT}
LABEL org.opencontainers.image.title="pipeline" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
