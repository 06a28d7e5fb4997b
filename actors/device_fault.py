"""Telling a broken device from a bad row.

After such an error every later call on the device fails too, so the process that holds it must end and be replaced.
Running out of memory is no such fault: the next row may fit.
"""

_SIGNS = ("CUDA error", "NCCL error", "CUBLAS_STATUS", "CUDNN_STATUS")


def is_device_fault(error: BaseException) -> bool:
    """Whether the error outlives the call that raised it."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
