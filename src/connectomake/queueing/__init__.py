"""Queues: jobs of a rule in a queue, drawn and run by workers on any machine with credentials.

The head lists what Snakemake would run and puts it into the queue (`pending`, `task`, `queues`); a worker draws a task, renews
its lease while a process of its own runs it (`worker`, `lease`, `task_process`), and writes the files where Snakemake looks for
them (`task_files`, `stores`).
"""
