"""``connectomake train``: train a network on annotated volumes."""

from typing import Annotated

import typer


def train(config: Annotated[str, typer.Argument(metavar="CONFIG", help="The training config.")]) -> None:
    """Train an affinity network; stopped, it goes on from its last checkpoint when called again."""
    from connectomake.train_from_config import train_from_config

    weights = train_from_config(config, lambda line: print(line, flush=True))
    print(f"{weights}: set inference.model to models/rsunet.py and inference.weights to this file")
