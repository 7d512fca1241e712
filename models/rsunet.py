"""Our RSUNet, in any size: the weights file says how to build the network.

Config: ``inference.model: models/rsunet.py`` and ``inference.weights:`` a file that
`connectomake.networks.rsunet.save_rsunet` wrote.
"""

from connectomake.networks.rsunet import load_rsunet as load_model

__all__ = ["load_model"]
