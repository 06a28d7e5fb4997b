"""The annotators' networks in the folder that a user names: one folder each, by their names in `configs.annotators`."""

from pathlib import Path

from airshower.models.weights import WeightsError, download_hint, files_sha256


class AnnotatorFolder:
    """A folder such as `airshower checkpoint download` fills; nothing is read before it is asked for."""

    def __init__(self, folder: Path | None, *, named: str | None = None) -> None:
        """`folder` may be open as long as nothing is asked for; `named` is what the user calls it instead of a path."""
        self._folder = folder
        self._named = named

    def part(self, name: str) -> Path:
        """The folder of one network; raises WeightsError, with the command that fetches it, where it isn't there."""
        if self._folder is None:
            raise WeightsError(f"no folder of annotators is given for {name}: name one with --annotators DIR")
        part = self._folder / name
        if not (part / "config.json").is_file():
            hint = download_hint(name, self._folder if self._named is None else None)
            raise WeightsError(f"{self._named or self._folder}: no {name} here: {hint}")
        return part

    def sha256(self, name: str) -> str:
        """Over the weights of one network, as transformers chooses them among the formats that are there."""
        part = self.part(name)
        files = [*part.glob("*.safetensors")] or [*part.glob("pytorch_model*.bin")]
        return files_sha256({file.name: file for file in files})
