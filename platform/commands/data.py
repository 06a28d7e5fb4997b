"""`airshower data`: sample clips with exact ground truth, in the row format.

What a scene holds and how it is made is `airshower.pipelines.world`; here are only the flags and the progress, which
goes to stderr.
"""

import re
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import track

from airshower.platform.progress import clock_words
from airshower.platform.ticker import ticking

data_app = typer.Typer(help="Sample data.", no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """Make sample data."""


@data_app.command("sample")
def sample(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write to, created if missing")],
    *,
    clips: Annotated[int, typer.Option(min=1, metavar="N", help="Scenes to render")] = 8,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the first scene; the others count on")] = 0,
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Frames of a clip")] = 33,
    fps: Annotated[float, typer.Option(min=1, metavar="FPS", help="Frames per second")] = 24,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height of a frame in pixels, even")] = "256x144",
    rig: Annotated[
        Literal["front", "seven"], typer.Option(metavar="NAME", help="front: one camera; seven: all round the car")
    ] = "front",
    weather: Annotated[
        str | None, typer.Option(metavar="NAME", help="Weather of all scenes, such as rain; default: each its own")
    ] = None,
    time_of_day: Annotated[
        str | None, typer.Option(metavar="NAME", help="Time of all scenes, such as night; default: each its own")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(metavar="NAME", help="cpu or cuda")] = "cpu",
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks")] = False,
) -> None:
    """Render street scenes with their ground truth, as videos and as rows that airshower generate reads.

    Everything follows from the seed and these settings: the same call writes the same scenes.
    """
    width, height = frame_size(size)

    from airshower.pipelines.world.camera import seven_camera_rig
    from airshower.pipelines.world.dataset import write_dataset

    begun_s = time.monotonic()
    names = write_dataset(
        folder,
        clips=clips,
        seed=seed,
        frames=frames,
        fps=fps,
        height=height,
        width=width,
        views=["front"] if rig == "front" else list(seven_camera_rig()),
        weather=weather,
        time_of_day=time_of_day,
        device=device,
    )
    _show(names, clips)
    elapsed = clock_words(time.monotonic() - begun_s)
    print(f"{clips} scene{'s' if clips != 1 else ''} in {elapsed}: airshower generate {folder} --output DIR")


def frame_size(size: str) -> tuple[int, int]:
    """(width, height) of a size such as 256x144; raises typer.BadParameter."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if match is None:
        raise typer.BadParameter(f"--size {size}: is no WIDTHxHEIGHT: write it as 256x144")
    return int(match[1]), int(match[2])


def _show(names: Iterator[str], clips: int) -> None:
    """Runs the iterator to its end: a bar on a terminal, a line every few seconds elsewhere."""
    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        for _ in track(names, "scenes", total=clips, console=console, transient=True):
            pass
        return
    done, begun_s = 0, time.monotonic()

    def line() -> str:
        elapsed_s = time.monotonic() - begun_s
        left = f", about {clock_words(elapsed_s * (clips - done) / done)} left" if done else ""
        return f"{done} of {clips} scenes, {clock_words(elapsed_s)}{left}"

    with ticking(line, sys.stderr):
        for _ in names:
            done += 1
