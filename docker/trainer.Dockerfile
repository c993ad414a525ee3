# syntax=docker/dockerfile:1
# The training, batch predictions and reports of one project. From the root of the repository:
#   docker build -f docker/trainer.Dockerfile --build-arg PROJECT=housing .

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

# What the project needs: built anew only when its locks change. RECIPE=full takes the lock with torch, where there is
# one. On Linux the package index's torch brings 4 GB of CUDA libraries, so torch comes from PyTorch's own index of CPU
# builds, pinned to the lock's version but without its hash: those builds are other files. TORCH_BACKEND= (empty) takes
# everything from the package index, every file hashed.
FROM tools AS dependencies
ARG PROJECT
ARG RECIPE=quick
ARG TORCH_BACKEND=cpu
COPY requirements/${PROJECT}-*.lock docker/split_torch.py /build/
RUN --mount=type=cache,target=/root/.cache \
    if [ "$RECIPE" = full ]; then lock=finetune; else lock=trainer; fi \
    && mv "/build/${PROJECT}-$lock.lock" /build/lock \
    && uv venv --quiet /opt/venv \
    && if [ -n "$TORCH_BACKEND" ] && grep -q '^torch==' /build/lock; then \
        python /build/split_torch.py /build/lock /build/torch /build/rest \
        && uv pip sync --quiet --python /opt/venv --require-hashes /build/rest \
        && uv pip install --quiet --python /opt/venv --no-deps --torch-backend "$TORCH_BACKEND" -r /build/torch; \
    else \
        uv pip sync --quiet --python /opt/venv --require-hashes /build/lock; \
    fi
# Other people's tests and MLflow's pages are no part of a training. Bytecode is made of what these imports load, a
# third of all modules: the root file system is read-only, so it must be there already.
RUN cd /opt/venv/lib/python*/site-packages \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && rm -r mlflow/server/js \
    && for module in httpx matplotlib.pyplot mlflow.pyfunc pandera.pandas pydantic_settings rich.progress scipy.stats \
        catboost implicit lightgbm optuna pooch sklearn.ensemble sklearn.linear_model torchvision; do \
        if [ -d "${module%%.*}" ]; then /opt/venv/bin/python -W ignore -c "import $module" || exit 1; fi; \
    done

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
    && ln -s ${PROJECT} /opt/code/bin/project

FROM base
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install -d -o app -g app /srv/.state /srv/predictions /data
# The mode of the file in the clone is that of its owner's umask.
COPY --link --chmod=0644 docker/healthcheck.py /opt/healthcheck.py
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=code /opt/code /opt/code
# Threads that wait for each other sleep: spinning, they take the cores from those they wait for, and where several
# trainings share two cores torch takes ten times as long.
ENV PATH=/opt/code/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PORTFOLIO_DATA_DIR=/data MPLCONFIGDIR=/tmp/matplotlib OMP_WAIT_POLICY=PASSIVE
WORKDIR /srv
USER 10001:10001
ENTRYPOINT ["project"]
CMD ["train", "--if-missing"]

# Last, because they change with every commit. The commit is recorded in every model that is trained here.
ARG PROJECT
ARG GIT_COMMIT=unknown
ARG CREATED=
ARG SOURCE=
ENV GIT_COMMIT=${GIT_COMMIT}
LABEL org.opencontainers.image.title="${PROJECT} trainer" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${GIT_COMMIT} \
      org.opencontainers.image.created=${CREATED}
