"""`airshower evaluate`: what it can't do is said at once, and the table says which criteria are met."""

import pytest
import typer
from rich.console import Console

from airshower.pipelines.evaluation.looks import LOOKS, Confusion
from airshower.pipelines.evaluation.report import Evaluation, Score
from airshower.platform.cli import main
from airshower.platform.commands.evaluate import check_met, confusion_table, score_table


def test_wrong_weights_are_one_line_before_anything_is_rendered(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--weights", str(tmp_path), "--output", str(tmp_path / "out")])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def found(*passed):
    scores = tuple(Score(name=str(number), values=(1.0,), passed=one) for number, one in enumerate(passed))
    return Evaluation(settings={}, model={"name": "tiny-transfer", "sha256": ""}, scores=scores, seconds=1.0)


def test_too_few_met_criteria_end_with_1(capsys):
    check_met(found(True, False, None, True), 66)
    with pytest.raises(typer.Exit) as end:
        check_met(found(True, False, None, True), 67)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "airshower: 66.7 % of the criteria are met, below 67 %\n"
    with pytest.raises(ValueError, match="no score has a criterion"):
        check_met(found(None), 0)


def test_table_tells_met_from_missed():
    confusion = Confusion(looks=LOOKS, counts=tuple((3, 0, 0, 0, 0, 0) for _ in LOOKS))
    evaluation = Evaluation(
        settings={},
        model={"name": "tiny-transfer", "sha256": "0" * 64},
        scores=(
            Score(name="edge: edge F1", values=(0.5, 0.7), shuffled=(0.1, 0.1), wanted=">= 3x", passed=True),
            Score(name="vis: blur SSIM", values=(0.7,), wanted=">= 0.8", passed=False),
        ),
        looks=(confusion, confusion),
        seconds=1.0,
    )
    console = Console(width=120, record=True)
    console.print(score_table(evaluation), confusion_table(confusion))
    lines = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in console.export_text().splitlines()
    ]
    assert ["edge: edge F1", "0.6", "0.1", "", ">= 3x", "yes"] in lines
    assert ["vis: blur SSIM", "0.7", "", "", ">= 0.8", "NO"] in lines
    assert ["rain day", "3", "·", "·", "·", "·", "·"] in lines
