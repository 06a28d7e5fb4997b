"""The annotators' networks in the folder that a user names: one folder each, by their names in `configs.annotators`."""

from pathlib import Path

from airshower.configs.annotators import DEPTH
from airshower.models.weights import WeightsError, download_hint, files_sha256


class AnnotatorFolder:
    """A folder such as `airshower checkpoint download` fills; nothing is read before it is asked for."""

    def __init__(self, folder: str | None) -> None:
        """`folder` may be open as long as nothing is asked for."""
        self._folder = None if folder is None else Path(folder)

    def require(self) -> None:
        """Raises WeightsError where the folder that is given does not exist; its networks may be missing."""
        if self._folder is not None and not self._folder.is_dir():
            raise WeightsError(f"annotators {str(self._folder)!r} is no folder: name one that holds {DEPTH} and others")

    def part(self, name: str) -> Path:
        """The folder of one network; raises WeightsError, with the command that fetches it, where it isn't there."""
        if self._folder is None:
            raise WeightsError(f"no folder of annotators is given for {name}: name one with --annotators DIR")
        part = self._folder / name
        if not (part / "config.json").is_file():
            raise WeightsError(f"{self._folder}: no {name} here: {download_hint(name, self._folder)}")
        return part

    def sha256(self, name: str) -> str:
        """Over the weights of one network, as transformers chooses them among the formats that are there."""
        part = self.part(name)
        files = [*part.glob("*.safetensors")] or [*part.glob("pytorch_model*.bin")]
        return files_sha256({file.name: file for file in files})
