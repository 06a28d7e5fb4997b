# The image of every node: this package, its pinned dependencies, and what Ray wants to find on a node.
#
#   docker build --tag airshower:cuda --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 .
#   docker build --tag airshower:cpu --build-arg TORCH_INDEX=URL .
#
# TORCH_INDEX: where pip finds another build of torch, such as PyTorch's own index of those for CPUs, a fraction of the
# size. BASE needs apt and Python 3.11 or newer in it. The GPU's driver comes from the host; CUDA's libraries come with torch.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG TORCH_INDEX=

# wget: KubeRay's probes; procps: its preStop hook; rsync, openssh-client: `ray up`; the rest runs Python.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates openssh-client procps python3 python3-venv rsync wget \
    && rm -rf /var/lib/apt/lists/*

# Ubuntu's images have a user of that id.
RUN (userdel --remove ubuntu 2>/dev/null || true) && useradd --uid 1000 --create-home --shell /bin/bash airshower
# /cache is where cluster/kuberay.py mounts a disk; login shells, as Ray starts them, forget PATH.
RUN install --directory --owner airshower /opt/venv /opt/airshower /cache \
    && echo 'export PATH=/opt/venv/bin:$PATH' > /etc/profile.d/airshower.sh
USER airshower
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
WORKDIR /opt/airshower

# Dependencies first: they change less often than the code. boto3 is for `ray up` on AWS.
COPY --chown=airshower pyproject.toml constraints.txt README.md LICENSE ./
COPY --chown=airshower airshower/__init__.py airshower/py.typed airshower/
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} ".[otlp]" boto3

COPY --chown=airshower . .
RUN pip install --no-cache-dir --no-deps --force-reinstall . && rm -rf build ./*.egg-info

WORKDIR /home/airshower
CMD ["airshower", "--help"]
