"""The project's numbers against those of the reference implementation.

The repository carries a few small cases; `PARITY_ROOT=<folder> pytest tests/parity` runs any other set of the format.
"""

import pytest
import torch

from tests.parity.case import Call, out_of_tolerance
from tests.parity.ops import NOT_COMPUTED, OPS


def test_result_equals_the_reference(reference_call: Call):
    op = reference_call.op
    if op in NOT_COMPUTED:
        pytest.skip(f"{' / '.join(op)}: {NOT_COMPUTED[op]}")
    assert op in OPS, f"{op} is unknown: add it to OPS or, with a reason, to NOT_COMPUTED"
    with torch.no_grad():
        got = OPS[op](reference_call)
    reference_call.check(got)


def test_no_op_is_both_computed_and_not():
    assert not set(OPS) & set(NOT_COMPUTED)


@pytest.mark.parametrize(
    ("error", "tolerance", "passes"),
    [
        (1e-6, {"atol": 1e-5, "rtol": 0.0}, True),
        (1e-4, {"atol": 1e-5, "rtol": 0.0}, False),
        (1.0, {"max_fraction_of_differing_pixels": 0.01, "max_abs_difference": 1}, True),
        (2.0, {"max_fraction_of_differing_pixels": 0.01, "max_abs_difference": 1}, False),
        (1.0, {"max_fraction_of_differing_pixels": 0.001}, False),
    ],
)
def test_tolerance_is_enforced(error, tolerance, passes):
    expected = torch.zeros(200)
    got = expected.clone()
    got[7] = error
    assert (out_of_tolerance(got, expected, tolerance) is None) == passes
