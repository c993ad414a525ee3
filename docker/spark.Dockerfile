# syntax=docker/dockerfile:1
# Spark for the films: a cluster's master and workers, and the job that is submitted to it. From the root:
#   docker build -f docker/spark.Dockerfile .

FROM python:3.13-slim AS base
# Java 17 or newer, of whichever Debian the base image is. Its installation wants a folder that slim images lack.
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends default-jre-headless >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log

FROM python:3.13-slim AS tools
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_ROOT_USER_ACTION=ignore
COPY requirements/installer.lock /build/
RUN --mount=type=cache,target=/root/.cache \
    pip install --quiet --disable-pip-version-check --require-hashes -r /build/installer.lock

# Spark and what its workers' Python needs: built anew only when the lock changes. The link has the same place in every
# Python. What is left out are examples, and clients of clusters that are not used here.
FROM tools AS dependencies
COPY requirements/spark.lock /build/lock
RUN --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
    && uv pip sync --quiet --python /opt/venv --require-hashes --compile-bytecode /build/lock \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && cd /opt/venv && ln -s lib/python3.*/site-packages/pyspark spark \
    && rm -r spark/examples spark/data spark/jars/connect-repl spark/jars/kubernetes-*

# The code: a folder of its own, so that a change in it leaves the layer of the dependencies as it is.
FROM tools AS code
COPY LICENSE /build/
COPY shared /build/shared
COPY projects/recommender /build/project
RUN --mount=type=cache,target=/root/.cache \
    --mount=type=bind,from=dependencies,source=/opt/venv,target=/opt/venv \
    for package in shared project; do \
        uv build --quiet --wheel --no-build-isolation --python /usr/local/bin/python \
            --out-dir /build/wheels /build/$package || exit 1; \
    done \
    && uv pip install --quiet --python /opt/venv --no-deps --no-index --compile-bytecode --target /opt/code \
        /build/wheels/*.whl

FROM base
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install -d -o app -g app /data /scratch
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=code /opt/code /opt/code
# What does not fit into memory goes to /scratch, and so do the libraries that Java unpacks: from /tmp none may be run. A
# JVM keeps no file of its own for tools that look at it from outside.
ENV PATH=/opt/code/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SPARK_HOME=/opt/venv/spark PYSPARK_PYTHON=/opt/venv/bin/python \
    SPARK_LOCAL_DIRS=/scratch SPARK_WORKER_DIR=/scratch SPARK_DAEMON_MEMORY=256m \
    JAVA_TOOL_OPTIONS="-XX:-UsePerfData -Djava.io.tmpdir=/scratch"
WORKDIR /scratch
USER 10001:10001
CMD ["spark-submit", "--help"]

# Last, because they change with every commit.
ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="Spark for the films" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
