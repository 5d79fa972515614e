# fraudctl with everything that it needs, for a machine without Python:
#   docker build -t fraudctl .
#   docker compose -f compose/compose.yaml --profile app up
ARG PYTHON_IMAGE=python:3.12-slim
FROM ${PYTHON_IMAGE}
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE CHANGELOG.md ./
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY compose compose
COPY configs configs
COPY sql sql
COPY fraudctl fraudctl
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && rm -rf /src/*
# The user that owns the database's password among the stack's secrets; Java wants it to have a name.
RUN useradd --uid 999 --home-dir /var/lib/fraudctl --create-home fraudctl
USER 999
WORKDIR /var/lib/fraudctl
ENV FRAUDCTL_HOME=/var/lib/fraudctl/home FRAUDCTL_CACHE_DIR=/var/lib/fraudctl/cache TZ=UTC PYTHONUNBUFFERED=1
VOLUME /var/lib/fraudctl
ENTRYPOINT ["fraudctl"]
CMD ["--help"]
