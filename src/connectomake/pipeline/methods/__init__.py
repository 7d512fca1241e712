"""The methods of segmentation: what labels a block, and what that takes. Each is a module of its name, with `LABELLING`."""

from importlib import import_module
from typing import cast

from connectomake.pipeline.methods.base import Labelled, Labelling
from connectomake.planning.plan import Plan

__all__ = ["Labelled", "Labelling", "labelling_of"]


def labelling_of(plan: Plan) -> Labelling:
    """Return how the blocks of a plan are labelled.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    module = import_module(f"connectomake.pipeline.methods.{plan.method.name}")
    return cast("type[Labelling]", module.LABELLING)(plan)
