"""Tests. `make test` runs all; `make test-fast` those that are neither marked `slow` nor `cluster`, in less than three minutes.

A test is fast if it stays in its process and takes less than a second of CPU time; `slow` are those that start other programs,
train, run whole workflows, go through many random examples of large volumes, or wait for time to pass. Mark the test, or with
`pytestmark` the whole file: such files are run first. What takes seconds without the mark is named at the end of a run as SLOW.
"""
