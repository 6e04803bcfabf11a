# The guard's image: docker build -t deployment-guard .
#
# Three layers that change at different rates: the base, the locked dependencies, the guard itself.
FROM python:3.11-slim AS build
# An index of packages of your own: docker build --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/guard
WORKDIR /src

# Locked by hash, wheels only: nothing unlisted gets in. Bytecode is made here, since the image runs
# read-only; of the Kubernetes client's thousands of modules only for those that are imported. Its
# synchronous half, 23 MB, is no use to a guard that never blocks.
COPY requirements.txt ./
RUN pip --python /opt/guard/bin/python install --no-compile --require-hashes \
      --only-binary :all: -r requirements.txt \
 && find /opt/guard -type d \( -name tests -o -name test -o -path '*/kubernetes/client/api' \) \
      -prune -exec rm -rf {} + \
 && python -m compileall -q -j 0 -x '/(kubernetes|lexers)/' /opt/guard/lib \
 && /opt/guard/bin/python -c 'from kubernetes.aio import client, config; \
      [getattr(client, f"{group}Api") for group in \
        ("AppsV1", "AuthorizationV1", "CoordinationV1", "CoreV1", "EventsV1", "Version")]'

# The build backend's own lock is a part of the tests'; it does not reach the image.
COPY requirements-test.txt ./
RUN awk '/^[a-z]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' \
      requirements-test.txt > requirements-build.txt \
 && pip install --require-hashes --only-binary :all: -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY guard guard
RUN pip wheel -q --no-deps --no-build-isolation --wheel-dir /dist . \
 && pip --python /opt/guard/bin/python install --no-compile --no-deps --no-index \
      --target /opt/app /dist/*.whl \
 && python -m compileall -q /opt/app

FROM python:3.11-slim
LABEL org.opencontainers.image.title="deployment-guard" \
      org.opencontainers.image.description="Decides promote or abort for a rollout, rolls back, and explains every decision with its numbers" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/app/bin:/opt/guard/bin:$PATH \
    PYTHONPATH=/opt/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/guard /opt/guard
COPY --from=build /opt/app /opt/app
# A number, so that `runAsNonRoot` can be checked. It owns nothing and writes nothing.
USER 65532:65532
WORKDIR /
EXPOSE 8080
# Follows GUARD_LISTEN's port; GUARD_LISTEN's host may be any address of the container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import os, sys, urllib.request as u; p = os.environ.get('GUARD_LISTEN', ':8080').rpartition(':')[2]; sys.exit(u.urlopen(f'http://127.0.0.1:{p}/livez', timeout=2).status != 200)"]
ENTRYPOINT ["guard"]
CMD ["run"]
