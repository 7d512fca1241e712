"""Scripts in forks of a process that has imported the library already: how they are started, stopped and reported.

`fork` starts and ends a process; `server` and `serve` keep the process of which the head's scripts are forked, and `scripts`
puts it in place of Snakemake's own way; `last_file` holds the file that a job reads, `logs` finds in its log why it failed, and
`processes` tells whether a process still runs. A queue's worker forks itself, see `queueing.task_process`.
"""
