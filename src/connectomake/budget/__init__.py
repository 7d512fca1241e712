"""Forecast of a run, and the choice of blocks for a budget of memory, time and machines."""
