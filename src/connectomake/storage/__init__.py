"""Buckets and web servers: the one place that talks to them.

`client` makes the client of S3, `patience` says how long anything waits and how often it tries again; `stores` opens the place
of a run's files, `opening` one file of a source; `kvstore` describes a place to TensorStore, `listing` lists a run, `check`
tries a bucket before a run, and `refusals` puts into a sentence what a store refused.
"""
