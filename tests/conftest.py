"""What several test files share: a whole model folder with random weights, a bucket, and caches of their own.

Ray is told not to connect by itself: a thread that outlives its cluster must fail, not start another one under the
tests that follow. What a trained model can do is not tested with this one: that is for `airshower evaluate`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import T5EncoderModel

from airshower.cluster.session import ray_session, set_ray_environment
from airshower.configs.network import tiny_transfer_dit
from airshower.models.dit.transformer import Transformer
from airshower.models.text import WordEncoder, tiny_t5_config, word_tokenizer
from airshower.models.weights import save_transformer
from tests.cluster.s3_server import ENVIRONMENT, moto_server
from tests.models.annotators.tiny_networks import save_annotators
from tests.quick_runs import QuickRuns

set_ray_environment(verbose=False)  # before any test file imports Ray
torch.set_num_threads(1)  # as in workers; on a busy machine, threads of tiny networks wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with clusters come first: of processes side by side, none has a long one left when the others are done."""
    long = {item.path for item in items if item.get_closest_marker("cluster") is not None}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights in which every output depends on every input; it knows the words rain, snow and fog."""
    folder = tmp_path_factory.mktemp("random_model")
    torch.manual_seed(0)
    save_transformer(Transformer(tiny_transfer_dit()), folder / "transformer")
    autoencoder = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=1)
    autoencoder.save_pretrained(folder / "autoencoder")
    tokenizer = word_tokenizer(["rain", "snow", "fog"])
    WordEncoder(tokenizer, T5EncoderModel(tiny_t5_config(len(tokenizer)))).save(folder / "text_encoder")
    return folder


@pytest.fixture(scope="session")
def annotators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random annotators; they know the words car, tree and red."""
    folder = tmp_path_factory.mktemp("annotators")
    save_annotators(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test keeps for later runs meets those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user_cache")))
        yield


class SharedCluster:
    """Ray with two CPUs. It runs on from test to test and from file to file, so that few of them wait for its start."""

    def __init__(self) -> None:
        self._session = ExitStack()
        self._started = False

    def start(self) -> None:
        if not self._started:
            self._session.enter_context(ray_session(address="local", local_cpus=2))
            self._started = True

    def stop(self) -> None:
        self._session.close()
        self._started = False


@pytest.fixture(scope="session")
def shared_cluster(_own_user_cache: None) -> Iterator[SharedCluster]:
    """Stopped until a test needs it."""
    shared = SharedCluster()
    with pytest.MonkeyPatch.context() as patch:
        # How often Ray Train's controller looks at its ranks: every report waits for the next time.
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
        yield shared
    shared.stop()


@pytest.fixture
def cluster(shared_cluster: SharedCluster) -> None:
    """What a test starts by itself runs on the shared cluster."""
    shared_cluster.start()


@pytest.fixture
def no_cluster(shared_cluster: SharedCluster) -> None:
    """For a test whose own cluster differs: other CPUs, or an environment that workers have to inherit."""
    shared_cluster.stop()


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuickRuns:
    """Runs of rows that are made in this process, of inputs in a folder of the test."""
    (tmp_path / "inputs").mkdir()
    runs = QuickRuns(inputs=tmp_path / "inputs")
    monkeypatch.setattr("airshower.pipelines.generate._make", runs.make)
    return runs


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of an empty bucket named drives; s3fs finds its server through the environment, as users set it."""
    import boto3
    import s3fs

    with moto_server() as endpoint:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket="drives")
        yield client
        s3fs.S3FileSystem.clear_instance_cache()
