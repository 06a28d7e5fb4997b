"""Spoilt and posing files through the reader, the batch and the service: none of them does harm.

    python -m tests.campaigns.hostile_files [--files 2000] [--seed 0] [--through prepare batch service]

`prepare` is the batch's first stage alone, in a process whose memory is measured file by file.

Files that are spoilt (`tests/pipelines/decoding/mutated.py`) and texts that pose as videos are read as inputs,
controls, masks, style images and depth. Each has to be read, or refused with one line that names it; no process may
end or hang, no other file may be opened and no address spoken to. Prints what became of them, and exits with 1 where
one did harm. The same seed makes the same files.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.campaigns.hostile_batch import through_batch
from tests.campaigns.hostile_outcomes import HostileFile, Outcome, table
from tests.campaigns.hostile_prepare import through_prepare
from tests.campaigns.hostile_service import through_service
from tests.pipelines.decoding.mutated import FRAMES, field_of, frames_of, spoilt_files, valid_files
from tests.pipelines.decoding.numbered import picture, write
from tests.pipelines.decoding.posing import listening, posing

_THROUGH = {"prepare": through_prepare, "batch": through_batch, "service": through_service}
_FIELDS = {
    "prepare": (
        "video_path",
        "edge.control_path",
        "edge.mask_path",
        "image_context_path",
        "guided_generation_mask",
        "depth.control_path",
    ),
    "batch": ("video_path", "edge.control_path", "edge.mask_path", "guided_generation_mask", "depth.control_path"),
    "service": ("video_path", "edge.control_path", "edge.mask_path", "depth.control_path"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--through", nargs="+", choices=_THROUGH, default=list(_THROUGH))
    options = parser.parse_args()
    problems = []
    for way in options.through:
        print(f"\nthrough {way}", flush=True)
        problems += [f"{way}: {problem}" for problem in _harm(way, options.files, options.seed)]
    print("\n".join(f"PROBLEM {problem}" for problem in problems))
    return 1 if problems else 0


def _harm(way: str, count: int, seed: int) -> Iterator[str]:
    """Sends the files one way and prints what became of them; the harm that they did."""
    with tempfile.TemporaryDirectory() as place, listening() as (port, spoken_to):
        folder = Path(place)
        (folder / "valid").mkdir()
        canary, leader = folder / "canary.mp4", folder / "leader.mp4"
        for path in (canary, leader):
            write(path, pictures=[picture(number) for number in range(FRAMES)])
        opened = canary.stat().st_atime_ns
        files = [*_spoilt(way, folder / "valid", count, seed), *_posing(way, canary, port)]
        outcomes = list(_THROUGH[way](files, leader, folder))
        print(table(outcomes), flush=True)
        yield from (f"{one.file.name} ({one.file.how}) {one.problem}" for one in outcomes if one.problem)
        yield from (f"{one.file.name}: a posing text was read" for one in outcomes if _is_read_text(one))
        if canary.stat().st_atime_ns != opened:
            yield "another file was opened"
        if spoken_to():
            yield "an address was spoken to"


def _is_read_text(outcome: Outcome) -> bool:
    return outcome.file.how == "poses" and outcome.end == "read"


def _spoilt(way: str, folder: Path, count: int, seed: int) -> Iterator[HostileFile]:
    seeds = valid_files(folder)
    for number, spoilt in enumerate(spoilt_files(seeds, count, seed)):
        field = field_of(spoilt.kind)
        if field == "video_path":
            field = _FIELDS[way][number // len(seeds) % len(_FIELDS[way])]  # each kind as each
        stem, _, ending = spoilt.kind.rpartition(".")
        name = f"{number:04}_{stem}.{ending}"
        frames = frames_of(spoilt.kind)
        yield HostileFile(
            name=name, kind=spoilt.kind, how=spoilt.how, field=field, content=spoilt.content, frames=frames
        )


def _posing(way: str, canary: Path, port: int) -> Iterator[HostileFile]:
    for number, (kind, content) in enumerate(posing(canary, port).items()):
        ending = ("mp4", "mkv", "m3u8", "sdp", "npz")[number % 5]
        field = _FIELDS[way][number % len(_FIELDS[way])]
        yield HostileFile(name=f"{kind}.{ending}", kind="text", how="poses", field=field, content=content)


if __name__ == "__main__":
    sys.exit(main())
