"""What the ledger knows of times: every clip that was made says how long its stages took, and on which GPU."""

from collections.abc import Iterable, Mapping

from airshower.cluster.inventory import Inventory
from airshower.configs.gpus import Gpu, gpu
from airshower.configs.records import Commit
from airshower.configs.row_kind import RowKind
from airshower.pipelines.planning.service_times import ServiceTimes


def learn_from(
    commits: Iterable[Commit], kinds: Mapping[str, RowKind], inventory: Inventory, times: ServiceTimes
) -> int:
    """Corrects the times by the clips whose kind is known by their key; returns how many these were."""
    there = {one.type: one for one in inventory.gpus_by_type()}
    count = 0
    for commit in commits:
        kind = kinds.get(commit.key)
        if kind is not None and not commit.resumed_chunks:  # whose times are of the other chunks alone
            times.learn(kind, _gpu(commit, there), commit.seconds)
            count += 1
    return count


def _gpu(commit: Commit, there: Mapping[str, Gpu]) -> Gpu | None:
    """The inventory's GPU of that type; a commit says A100 where the inventory may say A100-80G."""
    if commit.gpu is None:
        return None
    sized = [one for name, one in there.items() if name.startswith(f"{commit.gpu}-")]
    return there.get(commit.gpu) or (sized[0] if len(sized) == 1 else gpu(commit.gpu))
