"""`airshower evaluate`: how well a model follows controls and prompts on held-out scenes, as a table and a report.

Progress goes to stderr, the table to stdout. A criterion that is not met is a finding, not an error, unless
--fail-under says how many have to be met. The work itself is `airshower.pipelines.evaluate`.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from airshower.configs.model_source import ModelSource
from airshower.configs.presets import PRESETS, preset
from airshower.configs.training import HELD_OUT_SEED
from airshower.platform.progress import RunProgress, clock_words, show_progress
from airshower.platform.required_parts import WEIGHTS_HELP, require_parts

if TYPE_CHECKING:
    from airshower.pipelines.evaluation.looks import Confusion
    from airshower.pipelines.evaluation.report import Evaluation

_LEAST_WIDTH_CELLS = 110


def evaluate(
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder for scenes, clips and the report")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help=f"Model preset: {', '.join(PRESETS)}")] = "tiny-transfer",
    weights: Annotated[str | None, typer.Option(metavar="DIR|URL", help=WEIGHTS_HELP, show_default=False)] = None,
    clips: Annotated[int, typer.Option(min=2, metavar="N", help="Held-out scenes")] = 16,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help=f"Seed of the first scene; training never uses {HELD_OUT_SEED} and above"
        ),
    ] = HELD_OUT_SEED,
    frames: Annotated[
        int | None, typer.Option(min=9, metavar="N", help="Frames per clip (of each camera); default: one chunk")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Sampler steps; default: the model's")] = None,
    guidance: Annotated[
        int | None, typer.Option(min=0, max=7, metavar="G", help="Guidance, 0..7; default: the model's")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(metavar="NAME", help="auto, cpu or cuda; auto takes a GPU if any")
    ] = "auto",
    replicas: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Loaded models; default: one per GPU, or per CPU")
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="Exit with 1 if fewer of the criteria are met; default: never"
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Let Ray log, and show tracebacks")] = False,
) -> None:
    """Measure how well a model follows its controls and prompts on scenes that it was not trained on.

    Renders scenes of the sample world, generates each with every control alone, with all of them, in two chunks and
    with prompts of six weathers and times of day, and scores the clips. A model for several cameras makes each scene
    once, from its HD maps. Writes evaluation.json, evaluation.md and evaluation.png beside data/ (the scenes) and
    clips/ (the run with its gallery).
    """
    from airshower.pipelines.evaluate import evaluate as run
    from airshower.pipelines.evaluation.run import CLIPS, EvaluateSettings
    from airshower.platform.gallery.page import write_gallery

    require_parts(ModelSource(preset=preset(model), weights=weights))  # before minutes of rendering
    settings = EvaluateSettings(
        model=model,
        weights=weights,
        clips=clips,
        seed=seed,
        frames=frames,
        steps=steps,
        guidance=guidance,
        device=device,
        replicas=replicas,
        verbose=verbose,
    )
    with show_progress(RunProgress(), sys.stderr) as on_event:
        evaluation = run(settings, output, on_event)
    gallery = write_gallery(f"{output}/{CLIPS}")
    console = Console()
    # A log or a pipe has no width of its own, and Rich would cut the table down to 80 columns.
    console.width = max(console.width, _LEAST_WIDTH_CELLS)
    console.print(score_table(evaluation))
    if evaluation.looks is not None:
        console.print(confusion_table(evaluation.looks[0]))
    print(f"done in {clock_words(evaluation.seconds)}; report    {output}/evaluation.md\ngallery   {gallery}")
    if fail_under is not None:
        check_met(evaluation, fail_under)


def check_met(evaluation: "Evaluation", least_percent: float) -> None:
    """Ends the command with 1 where fewer criteria are met than asked for; says how many."""
    met = evaluation.percent_met
    if met < least_percent:
        print(f"airshower: {met:.1f} % of the criteria are met, below {least_percent:g} %", file=sys.stderr)
        raise typer.Exit(1)


def score_table(evaluation: "Evaluation") -> Table:
    """The scores as users read them."""
    from airshower.pipelines.evaluation.report import COLUMNS

    table = Table(title=f"{evaluation.model['name']} on held-out scenes", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in (COLUMNS[0], *COLUMNS[4:]) else "right")
    styles = {True: "green", False: "red", None: ""}
    for score in evaluation.scores:
        *cells, verdict = score.cells
        table.add_row(*cells, f"[{styles[score.passed]}]{verdict}[/]" if verdict else "")
    return table


def confusion_table(confusion: "Confusion") -> Table:
    """Prompted looks against the looks that their colours were taken for."""
    table = Table(title="prompted look (row), look its colours were taken for (column)", title_justify="left")
    table.add_column("prompt")
    for look in confusion.looks:
        table.add_column(str(look), justify="right")
    for look, row in zip(confusion.looks, confusion.counts, strict=True):
        table.add_row(str(look), *(str(count) if count else "·" for count in row))
    return table
