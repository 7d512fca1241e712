"""Tests. `make test` runs all; `make test-fast` those that are neither marked `slow` nor `cluster`, in less than three minutes.

A test is fast if it stays in its process and takes less than a second of CPU time; `slow` are those that start other programs,
train, run whole workflows, go through many random examples of large volumes, or wait for time to pass. Mark the test, or with
`pytestmark` the whole file: such files are run first. What takes seconds without the mark is named at the end of a run as SLOW.

Where a test lies: `test_PACKAGE.py`, or `test_PACKAGE_WHAT.py`, if it is about what one package of `src` does
(`test_layers_codec.py`, `test_skeletons_flow.py`: its stage in a whole run). What several do together lies in the file of its
theme: workflow runs (`test_workflow*.py`, `test_queue_runs.py`), files of other programs (`test_peer_files.py`), damage
(`test_damage*.py`, `test_bad_results.py`, `test_siblings.py`, `test_repair.py`), users' mistakes (`test_bad_*.py`,
`test_hostile.py`), what the code may look like (`test_imports.py`, `test_sizes.py`, `test_keys.py`, `test_docs.py`,
`test_marks.py`), and what must not change (`test_pins.py`, `test_versions.py`). Clusters: `tests/cluster`. What tests share
has no `test_` in its name.
"""
