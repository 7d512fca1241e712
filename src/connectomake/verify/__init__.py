"""Whether all that a run should have left is there, opens, and fits its plan."""

from connectomake.pipeline.expected import Expected, expected, stage_names
from connectomake.verify.faults import VerifyReport
from connectomake.verify.repair import Repair, carry_out, plan_repair
from connectomake.verify.report import verify

__all__ = ["Expected", "Repair", "VerifyReport", "carry_out", "expected", "plan_repair", "stage_names", "verify"]
