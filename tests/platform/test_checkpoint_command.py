"""`airshower checkpoint inspect` as a user sees it."""

import hashlib
import re

import torch

from airshower.platform.cli import main
from tests.models.checkpoints.small import CONFIG, published, random_network


def _inspect(capsys, *arguments):
    try:
        main(["checkpoint", "inspect", *map(str, arguments)])
    except SystemExit as stop:
        printed = capsys.readouterr()
        return stop.code, printed.out, printed.err


def test_a_whole_file_is_described(tmp_path, capsys):
    torch.save(published(random_network(CONFIG)), tmp_path / "model.pt")
    code, out, _ = _inspect(capsys, tmp_path / "model.pt")
    assert code == 0
    assert "Transfer2.5 with 1 control, unpublished size: 4 blocks of width 64" in out
    assert re.search(r"parameters +[\d.]+ M in \d+ tensors", out)
    assert re.search(r"type +float32\n", out)
    assert re.search(r"problems +none", out)


def test_problems_are_listed_and_counted(tmp_path, capsys):
    weights = published(random_network(CONFIG))
    del weights["net.blocks.2.self_attn.k_norm.weight"]
    torch.save(weights, tmp_path / "model.pt")
    code, out, _ = _inspect(capsys, tmp_path / "model.pt")
    assert code == 1
    assert "blocks.2.self_attn.k_norm.weight is missing" in out


def test_a_file_in_a_bucket_is_fetched_and_held_against_its_checksum(tmp_path, capsys, bucket):
    torch.save(published(random_network(CONFIG)), tmp_path / "model.pt")
    bucket.upload_file(str(tmp_path / "model.pt"), "drives", "nets/model.pt")
    code, out, err = _inspect(capsys, "s3://drives/nets/model.pt")
    assert (code, "4 blocks of width 64" in out) == (0, True)
    assert err.startswith("fetching s3://drives/nets/model.pt: 0 of ")
    code, _, err = _inspect(capsys, "s3://drives/nets/model.pt", "--sha256", "00")
    assert (code, err.count("\n")) == (2, 1)
    assert "s3://drives/nets/model.pt: SHA-256 is " in err
    right = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    code, out, err = _inspect(capsys, "s3://drives/nets/model.pt", "--sha256", right)
    assert (code, err.startswith("fetching")) == (0, True)  # the bad copy was removed


def test_what_is_no_checkpoint_is_one_line(tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(b"no")
    code, _, err = _inspect(capsys, tmp_path / "a.pt")
    assert code == 2
    assert err.count("\n") == 1
    assert "not a whole PyTorch file" in err
