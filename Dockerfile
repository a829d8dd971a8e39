# syntax=docker/dockerfile:1
# Images of the parts; docker-compose.yml and deploy/ run them.
#   docker build --target gateway .         no torch
#   docker build --target worker-cpu .      torch for CPUs, from PyTorch's own index
#   docker build --target worker-nvidia .   torch with CUDA, several GB; the host needs only a driver
#   docker build .                          all of it on CPUs, as `lookback serve`
# What is installed is pinned by requirements/*.txt and by requirements/README.md.
# All run as user 10001 and write nothing but /tmp, /keys, /cache and /snapshots.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN python -m venv /opt/lookback
ENV PATH=/opt/lookback/bin:$PATH
COPY requirements requirements

FROM build AS wheel
RUN pip install --require-hashes --no-deps -r requirements/build.txt
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM build AS gateway-environment
RUN pip install --require-hashes --no-deps -r requirements/gateway.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

FROM build AS worker-nvidia-environment
RUN pip install --require-hashes --no-deps -r requirements/worker.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

FROM build AS worker-cpu-environment
RUN pip install --require-hashes --no-deps -r requirements/worker-cpu.txt
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN version=$(sed -nE 's/^torch==([^ ]+).*/\1/p' requirements/worker.txt) \
    && pip install --no-deps --index-url "$TORCH_INDEX" "torch==$version"
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

FROM worker-cpu-environment AS whole-environment
RUN pip install --require-hashes --no-deps -r requirements/gateway.txt

FROM python:${PYTHON} AS base
RUN groupadd --gid 10001 lookback \
    && useradd --uid 10001 --gid lookback --no-create-home --home-dir /tmp lookback \
    && install -d -o lookback -g lookback -m 0700 /keys /cache /snapshots
ENV PATH=/opt/lookback/bin:$PATH HOME=/tmp HF_HOME=/cache \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["lookback"]

FROM base AS gateway
COPY --from=gateway-environment /opt/lookback /opt/lookback
ENV LOOKBACK_HOST=0.0.0.0
EXPOSE 8400
CMD ["gateway"]

FROM base AS worker-nvidia
COPY --from=worker-nvidia-environment /opt/lookback /opt/lookback
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["worker"]

FROM base AS worker-cpu
COPY --from=worker-cpu-environment /opt/lookback /opt/lookback
CMD ["worker"]

FROM base AS whole
COPY --from=whole-environment /opt/lookback /opt/lookback
ENV LOOKBACK_HOST=0.0.0.0
EXPOSE 8400
CMD ["serve"]
