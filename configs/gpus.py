"""GPUs that rows are planned for: what their makers publish. Types have the names that Ray gives them.

Deliberately only those with bfloat16. Memory is what is left for CUDA, a little less than what is advertised; where
cards of one name differ (A100, H100), it is the smaller card's.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One type of GPU; None for what isn't known of it."""

    type: str
    memory_gib: float | None = None
    bf16_tflops: float | None = None  # peak of dense matrix products, as published

    def __str__(self) -> str:
        return self.type


GPUS: dict[str, Gpu] = {
    gpu.type: gpu
    for gpu in (
        Gpu(type="B300", memory_gib=267, bf16_tflops=2250),
        Gpu(type="B200", memory_gib=178, bf16_tflops=2250),
        Gpu(type="GB200", memory_gib=178, bf16_tflops=2500),
        Gpu(type="H200", memory_gib=139.8, bf16_tflops=989),
        Gpu(type="H100", memory_gib=79.1, bf16_tflops=989),
        Gpu(type="H20", memory_gib=95, bf16_tflops=148),
        Gpu(type="A100", memory_gib=39.4, bf16_tflops=312),
        Gpu(type="A100-40G", memory_gib=39.4, bf16_tflops=312),
        Gpu(type="A100-80G", memory_gib=79.1, bf16_tflops=312),
        Gpu(type="RTX-PRO-6000", memory_gib=94.9, bf16_tflops=503),
        Gpu(type="L40S", memory_gib=44.4, bf16_tflops=362),
        Gpu(type="L4", memory_gib=22.0, bf16_tflops=121),
        Gpu(type="A10G", memory_gib=22.0, bf16_tflops=70),
        Gpu(type="GeForce-RTX-5090", memory_gib=31.3, bf16_tflops=209),
        Gpu(type="GeForce-RTX-4090", memory_gib=23.5, bf16_tflops=165),
    )
}


def type_of(device_name: str) -> str:
    """The type of a GPU from the name that its driver gives it, such as NVIDIA H200."""
    dashed = device_name.removeprefix("NVIDIA ").replace(" ", "-")
    found = [name for name in GPUS if re.search(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", dashed)]
    return max(found, key=len, default=dashed)


def gpu(type_name: str) -> Gpu:
    """The GPU of that type; one that isn't in the table has a name and nothing else."""
    return GPUS.get(type_name, Gpu(type=type_name))
