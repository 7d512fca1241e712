"""Any machine as a worker: jobs of a rule in a queue, drawn and made wherever there are credentials.

The head lists what Snakemake would run and puts it into the queue (`missing`, `task`, `queues`); a worker draws a task, renews
its lease while a process of its own makes it (`worker`, `lease`, `child`), and writes the files where Snakemake will look for
them (`place`, `stores`).
"""
