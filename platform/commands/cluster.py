"""`airshower cluster`: manifests for clusters on Kubernetes, from one description of ours, and a dashboard of runs."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from pydantic import ValidationError

from airshower.cluster import storage
from airshower.configs.cluster import ClusterConfig
from airshower.platform.job_command import JobCommand, job_command

cluster_app = typer.Typer(help="Clusters: manifests for KubeRay, a dashboard for Grafana.", no_args_is_help=True)


@cluster_app.command()
def render(
    context: typer.Context,
    kind: Annotated[
        Literal["raycluster", "rayjob", "raycronjob"],
        typer.Argument(metavar="KIND", help="raycluster, rayjob or raycronjob", show_default=False),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="What a job runs: generate and its flags", show_default=False),
    ] = None,
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The cluster as YAML or JSON; see airshower cluster schema")
    ],
) -> None:
    """Print a manifest for `kubectl apply -f -`."""
    from airshower.cluster.kuberay import ray_cluster, ray_cron_job, ray_job

    described = read_config(config)
    if kind == "raycluster":
        if command:
            raise ValueError("a raycluster runs no command: leave it out, or render a rayjob")
        manifest = ray_cluster(described)
    else:
        if not command:
            raise ValueError(f"a {kind} needs a command: add -- generate SPECS --output s3://BUCKET/RUN")
        words = _checked(job_command(context, command), described)
        manifest = ray_job(described, words) if kind == "rayjob" else ray_cron_job(described, words)
    print(yaml.safe_dump(manifest, sort_keys=False), end="")


@cluster_app.command()
def schema() -> None:
    """Print the format of --config files as JSON Schema."""
    print(json.dumps(ClusterConfig.model_json_schema(), indent=2))


@cluster_app.command()
def grafana() -> None:
    """Print a Grafana dashboard of runs on a cluster, to be imported there as JSON."""
    from airshower.cluster.grafana import dashboard

    print(json.dumps(dashboard(), indent=2))


def read_config(path: Path) -> ClusterConfig:
    """The description in a YAML or JSON file; raises ValueError in one line that names file and field."""
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: give the file of a cluster's description") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    try:
        return ClusterConfig.model_validate(found)
    except ValidationError as error:
        raise ValueError(f"{path}: {_described(error)}") from None


def _described(error: ValidationError) -> str:
    lines = []
    for detail in error.errors(include_url=False):
        place = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            said = "is not a field: airshower cluster schema lists them"
        elif detail["type"] == "missing":
            said = "is missing"
        else:
            said = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        lines.append(f"{place}: {said}" if place else said)
    return "; ".join(lines)


def _checked(command: JobCommand, config: ClusterConfig) -> tuple[str, ...]:
    """The command's words; raises ValueError for paths that no node of the cluster would see."""
    volume = config.storage.volume_claim
    for what, path in [*(("SPECS", spec) for spec in command.specs), ("--output", command.output)]:
        shared = volume is not None and Path(path).is_relative_to(config.storage.mount_path)
        if not storage.is_url(path) and not shared:
            place = f"or a path below {config.storage.mount_path}" if volume else "or set storage.volume_claim"
            raise ValueError(f"{what} {path} is not seen by the cluster's nodes: give a URL such as s3://..., {place}")
    return command.arguments
