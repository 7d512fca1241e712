# Requires: common.smk. Makes: before `snakemake --report`, a check that what it shows is there, and no password in it.
from connectomake.credentials import redacted


def check_report():
    """Raise an error, in one sentence, where `--report` would not find what the whole run shows."""
    if any(argument.startswith(f"{plan.outdir}/") for argument in sys.argv):
        return  # of a part of the run
    pages = targets.reports.values() if "reports" in sys.argv else []
    lacking = [path for path in (*targets.reported(), *pages) if not exists(path)]
    if lacking:
        raise WorkflowError(
            f"{lacking[0]} is not there yet, which the report shows ({len(lacking)} such file(s)); make them first: the "
            "same command with the target reports and without --report, then this one again"
        )


def hide_passwords():
    """Show no password or token in the config that a report shows."""
    from snakemake.report import ConfigfileRecord

    read = ConfigfileRecord.__post_init__

    def read_hidden(record, configfile):
        read(record, configfile)
        record.source = redacted(record.source)

    ConfigfileRecord.__post_init__ = read_hidden


if HEAD and any(argument.split("=")[0] == "--report" for argument in sys.argv):
    check_report()
    hide_passwords()
