"""Whether all that a run should have left is there, opens, and fits its plan."""

from connectomake.verify.expected import STAGES, Expected, expected
from connectomake.verify.faults import Report
from connectomake.verify.report import verify

__all__ = ["STAGES", "Expected", "Report", "expected", "verify"]
