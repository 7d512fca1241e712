"""Our RSUNet, in any size, or the mean of several: the weights file says how to build the network.

Config: ``inference.model: models/rsunet.py`` and ``inference.weights:`` a file that `connectomake.networks.rsunet.save_rsunet`
or `connectomake.networks.ensemble.save_mean` wrote.
"""

from connectomake.networks.ensemble import load_mean as load_model

__all__ = ["load_model"]
