"""Networks of our own and the reading of weights: what training and inference share."""
