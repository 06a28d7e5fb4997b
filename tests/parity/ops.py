"""Which function computes which reference op, and which ops the project does not compute, with the reason."""

from collections.abc import Callable

from torch import Tensor

from tests.parity import autoencoder_ops, control_ops, metric_ops, network_ops
from tests.parity.case import Call, Op

OPS: dict[Op, Callable[[Call], dict[str, Tensor]]] = {
    ("transfer2.5", "control", "edge"): control_ops.edge,
    ("transfer2.5", "control", "blur"): control_ops.blur,
    ("transfer2.5", "control", "guided_latent_map"): control_ops.guided_map,
    ("predict2.5", "vae", "encode_decode"): autoencoder_ops.encode_decode,
    ("predict2.5", "vae", "normalise"): autoencoder_ops.normalise,
    ("transfer2.5", "control", "weights_to_maps"): control_ops.weights_to_maps,
    **{(family, "network", "network"): network_ops.network for family in ("predict2", "predict2.5", "transfer2.5")},
    **{(family, "network", "rope_table"): network_ops.rope_table for family in ("predict2", "predict2.5")},
    **{(family, "sampler", "sample"): network_ops.sampling_run for family in ("predict2.5", "transfer2.5")},
    ("transfer2.5", "sampler", "distilled"): network_ops.distilled_run,
    ("predict2", "sampler", "sample"): network_ops.predict2_run,
    ("predict2", "sampler", "guided_x0"): network_ops.one_guided_x0,
    ("predict2", "sampler", "schedule"): network_ops.predict2_schedule,
    ("predict2", "sampler", "coefficients"): network_ops.predict2_coefficients,
    ("predict2", "sampler", "solver_trace"): network_ops.predict2_solver_trace,
    ("transfer2.5", "sampler", "guided_velocity"): network_ops.one_guided_velocity,
    ("predict2.5", "sampler", "schedule"): network_ops.schedule,
    ("predict2.5", "sampler", "solver_trace"): network_ops.solver_trace,
    ("predict2.5", "sampler", "noise"): network_ops.noise,
    ("predict2.5", "sampler", "training_time_map"): network_ops.training_time_map,
    ("transfer1", "metric", "blur_ssim"): metric_ops.score,
    ("transfer1", "metric", "depth_si_rmse"): metric_ops.score,
    ("transfer1", "metric", "depth_si_rmse_log"): metric_ops.score,
    ("transfer1", "metric", "canny_f1"): metric_ops.canny_f1,
    ("transfer1", "metric", "mask_miou"): metric_ops.mask_miou,
}


def _because(reason: str, family: str, kind: str, ops: str) -> dict[Op, str]:
    return {(family, kind, op): reason for op in ops.split()}


_NO_TRAINING = "training is not yet supported by the runner"
_NO_7B = "the 7B family is not built"

NOT_COMPUTED: dict[Op, str] = {
    **_because(_NO_TRAINING, "transfer2.5", "training", "loss_and_gradients ema learning_rate"),
    **_because(_NO_TRAINING, "predict2", "training", "loss_and_gradients lora ema learning_rate"),
    **_because(_NO_7B, "transfer1", "control", "edge blur scalar_weights weight_maps weight_maps_float32_resize"),
    **_because(_NO_7B, "transfer1", "network", "network"),
    **_because(_NO_7B, "transfer1", "sampler", "sample one_step guided_x0 schedule coefficients solver_trace noise"),
    **_because(_NO_7B, "transfer1", "sampler", "split_patches merge_patches"),
    **_because(_NO_7B, "transfer1", "tokenizer", "encode_decode normalise"),
    **_because(_NO_7B, "transfer1", "training", "loss_and_gradients ema learning_rate"),
    **_because(_NO_7B, "diffusion-renderer", "envmap", "environment tone_mapping"),
    **_because(_NO_7B, "diffusion-renderer", "network", "network"),
    **_because(_NO_7B, "diffusion-renderer", "sampler", "sample schedule solver_trace"),
}
