"""`airshower report` on a hand-made run whose sums are known, with its spans and without them."""

import json
from pathlib import Path

import pytest

from airshower.cluster.store import open_store
from airshower.cluster.trace_export import open_export
from airshower.configs.records import Commit, Failure, OutputFile, RunRecord
from airshower.configs.spans import Span
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.platform.report.accounts import BINS, Report
from airshower.platform.report.causes import FailedRow, causes
from airshower.platform.report.page import render
from airshower.platform.report.read import read_report
from airshower.platform.report.replica_time import Stretch, Worker, apart, replicas_of
from airshower.platform.report.sessions import Sessions, binned

BEGUN_S = 1_700_000_000.0
RUN = "20231114T221320-1"
HOSTILE = "</title><script>alert(1)</script>"


def span(row: str, name: str, begun_s: float, ended_s: float, process: int, error: str | None = None, **facts) -> Span:
    facts = {"row": row, "host.name": "n1", "process.pid": process, **facts}
    times = {"begun_ns": int((BEGUN_S + begun_s) * 1e9), "ended_ns": int((BEGUN_S + ended_s) * 1e9)}
    return Span(
        name=name, trace_id="1" * 32, span_id="2" * 16, parent_id="3" * 16, attributes=facts, error=error, **times
    )


SPANS = (
    span("a", "prepare", 0, 2, 9, attempt=1),
    span("a", "generate", 10, 30, 1, attempt=1, chunks=1, gpu="H200", gpus=1),
    span("a", "encode", 10, 12, 1, chunk=0),
    span("a", "denoise", 12, 24, 1, chunk=0),
    span("a", "decode", 24, 28, 1, chunk=0),
    span("b", "generate", 10, 40, 2, attempt=3, chunks=1, gpu="H200", gpus=1),
    span("b", "denoise", 10, 40, 2, chunk=0),
    span("c", "generate", 30, 35, 1, attempt=1, error="RuntimeError: no"),
)


def commit(name: str, process: int, seconds: dict[str, float], generated_s: float, written_s: float) -> Commit:
    return Commit(
        key=name * 64,
        name=name,
        run=RUN,
        nonce="1",
        folder=f"data/{name}",
        files={f"{name}.mp4": OutputFile(size_bytes=1_000, sha256="0")},
        outputs={"video": f"{name}.mp4"},
        frames=48,
        fps=24,
        height=16,
        width=16,
        chunks=1,
        seconds=seconds,
        node="n2",
        gpu="H200",
        gpus=1,
        flops={"denoise_s": seconds["denoise_s"] * (1e12 if name == "a" else 2e12)},
        replica=f"n1:{process}",
        generated_s=BEGUN_S + generated_s,
        written_s=BEGUN_S + written_s,
    )


def make_run(folder: Path, *, with_spans: bool) -> Path:
    ledger = Ledger(open_store(folder))
    ledger.require()
    begun = "2023-11-14T22:13:20+00:00"
    said = {"command": ("airshower", "generate"), "working_directory": "/", "version": "1"}
    RunRecords(ledger).begin(RunRecord(run=RUN, begun=begun, rows=5, **said))
    parts = {"encode_s": 2.0, "denoise_s": 12.0, "decode_s": 4.0}
    ledger.commit(commit("a", 1, {"prepare": 2.0, "generate": 20.0, **parts}, 28, 32))
    ledger.commit(commit("b", 2, {"prepare": 4.0, "generate": 30.0, "denoise_s": 30.0}, 40, 50))
    for index, name in enumerate(("c", HOSTILE)):
        message = f"{name}: can't make frame {index}"
        failure = {"stage": "generate", "type": "RuntimeError", "message": message, "attempt": 1}
        ledger.fail(Failure(key=f"{index}" * 64, name=name, run=RUN, **failure))
    if with_spans:
        export = open_export(ledger.store, RUN, {}, pytest.fail)
        export.add(SPANS)
        export.close()
    return folder


@pytest.mark.parametrize(("with_spans", "other_s"), [(True, 7), (False, 2)])  # of the row that failed, spans know alone
def test_every_second_of_the_gpus_is_somewhere(tmp_path, with_spans, other_s):
    report = read_report(str(make_run(tmp_path, with_spans=with_spans)))
    assert (report.made, report.failed, report.runs, report.wall_s) == (2, 2, 1, 50)
    assert (report.frames, report.video_s, report.written_bytes) == (96, 4, 2_000)
    (time,) = report.gpu_times
    assert (time.gpu, time.gpus, time.held_s) == ("H200", 2, pytest.approx(100))
    idle_s = 100 - 42 - 2 - 4 - other_s
    parts = {"denoise": 42, "encode": 2, "decode": 4, "other": other_s, "idle": idle_s}
    assert time.seconds == pytest.approx(parts)
    assert time.busy == pytest.approx(0.48)
    assert time.teraflops == pytest.approx({"denoise": (12 + 60) / 42})
    assert [(replica.name, replica.clips) for replica in report.replicas] == [("n1 #1", 1), ("n1 #2", 1)]
    assert [replica.busy for replica in report.replicas] == pytest.approx([18 / 50, 30 / 50])
    over_time = {part: sum(values) * 50 / BINS for part, values in report.work_over_time.items()}
    assert over_time == pytest.approx({part: seconds for part, seconds in parts.items() if part != "idle"})
    assert sum(report.clips_over_time) == 2


def test_stages_slow_rows_retries_and_causes(tmp_path):
    report = read_report(str(make_run(tmp_path, with_spans=True)))
    stages = {stage.stage: (stage.rows, stage.seconds, stage.p50_s, stage.most_s) for stage in report.stages}
    assert stages == {"prepare": (2, 6, 2, 4), "generate": (2, 50, 20, 30)}
    assert [(row.name, row.seconds) for row in report.slowest] == [("b", 34), ("a", 22)]
    assert report.begun_again == {"generate": 2}
    (cause,) = report.causes
    assert (cause.rows, cause.stage, cause.type, sorted(cause.names)) == (2, "generate", "RuntimeError", [HOSTILE, "c"])


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("/data/x/a.mp4: ends after 35 frames", "/data/y/b.mp4: ends after 7 frames", True),
        ("s3://bucket/a.mp4: HTTP 503", "s3://other/deep/b.mp4: HTTP 503", True),
        ("a: needs 22.4 GiB", "b: needs 9 GiB", True),
        ("weights 0af7651916cd43dd", "weights b7ad6b7169203331", True),
        ("edge: no such file", "depth: no such file", False),
        ("a: needs 9 GiB", "b: lacks 9 GiB", False),
    ],
)
def test_messages_that_differ_in_names_and_numbers_alone_are_one_cause(first, second, alike):
    rows = [
        FailedRow(name=name, stage="prepare", type="E", message=said) for name, said in (("a", first), ("b", second))
    ]
    assert [cause.rows for cause in causes(rows)] == ([2] if alike else [1, 1])


def test_parts_that_overlap_count_once():
    stretches = [(0, 10, "denoise"), (8, 12, "decode"), (9, 11, "encode"), (20, 21, "load"), (0, 30, "other")]
    found = apart([Stretch(begun_s=begun, ended_s=ended, part=part) for begun, ended, part in stretches])
    assert [(one.begun_s, one.ended_s, one.part) for one in found] == [
        (0, 10, "denoise"),
        (10, 11, "encode"),
        (11, 12, "decode"),
        (12, 20, "other"),
        (20, 21, "load"),
        (21, 30, "other"),
    ]


def test_a_process_after_another_on_a_node_is_the_same_replica():
    def worker(node: str, begun_s: float, ended_s: float) -> Worker:
        return Worker(node=node, stretches=[Stretch(begun_s=begun_s, ended_s=ended_s, part="denoise")])

    found = replicas_of([worker("a", 0, 5), worker("a", 3, 9), worker("a", 6, 9), worker("b", 6, 9)])
    assert [(replica.node, replica.number, len(replica.workers)) for replica in found] == [
        ("a", 1, 2),
        ("a", 2, 1),
        ("b", 1, 1),
    ]


def test_pauses_between_runs_take_no_time():
    sessions = Sessions([(1_000, 1_010), (100, 130), (120, 140)])
    assert (sessions.wall_s, sessions.starts) == (50, [0, 40])
    assert [sessions.place(time_s) for time_s in (100, 139, 500, 1_001, 2_000)] == [0, 39, 40, 41, 50]
    assert binned([(5, 15), (30, 50)], 50, 5) == [5, 5, 0, 10, 10]


def test_the_page_holds_the_plots_and_escapes_what_rows_say(tmp_path):
    page = render(HOSTILE, read_report(str(make_run(tmp_path, with_spans=True))))
    assert "<script" not in page
    assert page.count('class="plot"') == 2
    assert page.count('class="strip"') == 2
    assert 'href="index.html#b"' in page
    nothing = Report(
        **dict.fromkeys(("made", "failed", "runs", "frames", "written_bytes"), 0),
        **dict.fromkeys(("video_s", "wall_s"), 0.0),
        **dict.fromkeys(("pauses", "stages", "gpu_times", "replicas", "slowest", "causes", "clips_over_time"), ()),
        **{"begun": "", "from_spans": False, "begun_again": {}, "work_over_time": {}},
    )
    assert "No row has ended yet." in render("empty", nothing)


def test_on_a_phone_the_tables_scroll_and_the_page_does_not(tab, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(render("night", read_report(str(make_run(tmp_path / "night", with_spans=True)))))
    tab.resize(360, 740)
    tab.open(page.as_uri())
    assert tab.value("document.documentElement.scrollWidth") == 360
    tables = "[...document.querySelectorAll('.scroll')]"
    assert tab.value(f"{tables}.map((one) => one.scrollWidth > one.clientWidth)") == [True, True, True]
    assert tab.value(f"{tables}.every((one) => one.tabIndex === 0 && one.ariaLabel)")  # by key, too
    fixed = "getComputedStyle(document.querySelector('.scroll')).backgroundAttachment"
    assert tab.value(fixed) == "local, local, scroll, scroll"  # the shadows, and what covers them at the table's ends


def test_the_command_prints_writes_and_answers_in_json(call, tmp_path):
    run = str(make_run(tmp_path / "night", with_spans=True))
    code, printed, _ = call("report", run)
    assert code == 0
    assert "H200 at work 48 %" in printed
    assert "failed    2 in generate (RuntimeError)" in printed
    assert (tmp_path / "night" / "report.html").exists()
    assert call("report", run, "--output", str(tmp_path / "page.html"))[0] == 0
    assert (tmp_path / "page.html").exists()
    assert json.loads(call("report", run, "--json")[1])["gpu_times"][0]["seconds"]["denoise"] == pytest.approx(42)
    code, printed, _ = call("runs", "trace", run, "b")
    assert "begun 3 times" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "{}"), "no ledger here, so it is no run folder"),
        (("report", "{}", "--json", "-o", "x.html"), "leave --output or --json out"),
        (("runs", "trace", "{}", "a"), "no ledger here"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(call, tmp_path, arguments, message):
    code, _, errors = call(*(argument.format(tmp_path) for argument in arguments))
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
