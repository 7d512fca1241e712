"""Pictures and tables of a run, made from its files alone: for the report, and for terminals without a browser."""
