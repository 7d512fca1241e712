"""The state of one attempt of a job that runs in a pod."""

from dataclasses import dataclass
from typing import Any

from snakemake_executor_plugin_pods.spec import RULE_LABEL
from snakemake_executor_plugin_pods.verdict import Verdict


@dataclass(eq=False)
class Task:
    """One try of a job; its pod may be made several times.

    Parameters
    ----------
    name
        Of the first pod, by which Snakemake knows the try.
    body
        Of the pod, as it is made next or was made last.
    again
        How often it was made again by no fault of its own.
    made
        The server has taken the pod.
    not_before
        Time of the next offer.
    refused
        Since when the server refuses it.
    verdict
        How the try has ended, where that is decided without its pod.
    """

    name: str
    body: Any
    again: int = 0
    made: bool = False
    not_before: float = 0.0
    refused: float | None = None
    verdict: Verdict | None = None

    @property
    def pod(self) -> str:
        """Name of its pod."""
        return str(self.body.metadata.name)

    @property
    def rule(self) -> str:
        """Of the job; of a group its name."""
        return str(self.body.metadata.labels[RULE_LABEL])

    def renew(self) -> None:
        """Let the pod be made again, under a name of its own: it is never taken for the one before."""
        self.again += 1
        self.made, self.refused = False, None
        self.body.metadata.name = f"{self.name}-again{self.again}"
