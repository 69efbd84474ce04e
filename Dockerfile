# One image for the head, the workers, SageMaker and laptops: what differs between two of them is nothing but the command.
#
#   docker build --build-arg GIT_COMMIT=$(git rev-parse HEAD) -t roadsense .
#   docker build --build-arg TORCH_INDEX=<PyTorch's CPU wheel index> ...    saves CUDA's libraries, see docs/docker.md
FROM python:3.11.11-slim-bookworm AS build

ARG TORCH_INDEX=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
RUN python -m venv /opt/roadsense
COPY pyproject.toml constraints.txt README.md ./
# Dependencies first: they change rarely, and this layer is then taken from the cache. The package's own code follows below.
RUN mkdir roadsense && echo '__version__ = "0"' > roadsense/__init__.py \
    && if [ -n "$TORCH_INDEX" ]; then \
         /opt/roadsense/bin/pip install --no-cache-dir -c constraints.txt --index-url "$TORCH_INDEX" torch; \
       fi \
    && /opt/roadsense/bin/pip install --no-cache-dir -c constraints.txt '.[test]' \
    && /opt/roadsense/bin/pip uninstall --yes roadsense \
    # What setuptools has built of the stand-in would be newer than the real files, and be installed in their place.
    && rm -rf build roadsense roadsense.egg-info
COPY roadsense roadsense
RUN /opt/roadsense/bin/pip install --no-cache-dir --no-deps . \
    && find /opt/roadsense -name __pycache__ -type d -prune -exec rm -rf {} +


FROM python:3.11.11-slim-bookworm

# tini reaps what Ray and SUMO leave (as process 1 a Python program would not); rsync, procps and openssh-client are what Ray's launcher uses
# in the container and on the head; the libraries are SUMO's, the GUI's among them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
       tini rsync procps openssh-client ca-certificates \
       libgl1 libglu1-mesa libx11-6 libxext6 libxft2 libxcursor1 libxrandr2 libxrender1 libxi6 libfontconfig1 libgomp1 libatomic1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash roadsense \
    && mkdir -p /work /opt/ml && chown roadsense:roadsense /work /opt/ml

COPY --from=build /opt/roadsense /opt/roadsense
# Not below /work, over which launches mount their own folder.
COPY scenarios/base /opt/roadsense/scenarios/base
COPY --chown=roadsense:roadsense experiments /work/experiments
COPY tests /work/tests
COPY pyproject.toml constraints.txt /work/
# SageMaker runs `train`; it is on the path like `roadsense` itself.
COPY --chmod=755 deploy/train /opt/roadsense/bin/train

ARG GIT_COMMIT=unknown
ENV PATH=/opt/roadsense/bin:$PATH \
    GIT_COMMIT=$GIT_COMMIT \
    ROADSENSE_SCENARIOS=/opt/roadsense/scenarios \
    ROADSENSE_CONTAINER_IMAGE=roadsense:$GIT_COMMIT \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
LABEL org.opencontainers.image.revision=$GIT_COMMIT

USER 1000
WORKDIR /work
ENTRYPOINT ["tini", "-g", "--"]
CMD ["roadsense", "--help"]
