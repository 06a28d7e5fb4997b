"""Reference ops on scores."""

import torch
from torch import Tensor

from airshower.pipelines import metrics
from tests.parity.case import Call


def score(call: Call) -> dict[str, Tensor]:
    function = {
        "blur_ssim": metrics.blur_ssim,
        "depth_si_rmse": metrics.depth_si_rmse,
        "depth_si_rmse_log": metrics.depth_si_rmse_log,
    }[call.op[2]]
    value = function(**{name: tensor.numpy() for name, tensor in call.inputs.items()})
    return {"score": torch.tensor([value], dtype=torch.float64)}


def canny_f1(call: Call) -> dict[str, Tensor]:
    gt, pred = call.inputs["gt"].numpy(), call.inputs["pred"].numpy()
    return {
        "f1_precision_recall": torch.tensor(metrics.canny_f1(gt, pred), dtype=torch.float64),
        "gt_edges": torch.from_numpy(metrics.canny_edges(gt)),
        "pred_edges": torch.from_numpy(metrics.canny_edges(pred)),
    }


def mask_miou(call: Call) -> dict[str, Tensor]:
    masks = {name: tensor.numpy() for name, tensor in call.inputs.items()}
    found = metrics.mask_miou(**masks, matching=call.params["matching"])
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in found._asdict().items()}
