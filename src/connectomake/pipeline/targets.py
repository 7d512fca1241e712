"""The files that a whole run leaves. Paths only: nothing is opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectomake.pipeline.base import Rule
from connectomake.pipeline.infos import InfoRule, Infos
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.reports import Reports
from connectomake.planning.paths import Paths
from connectomake.planning.scales import Scales


@dataclass(frozen=True)
class Targets(Paths):
    """The files of a plan.

    Parameters
    ----------
    plan
        The plan.
    """

    def segmentations(self) -> list[str]:
        """Return the layers of final ids: the main one first, then one for each further threshold."""
        return [f"segmentation{suffix}" for suffix in self.plan.thresholds]

    def infos(self) -> list[str]:
        """Return the info of everything that a run leaves."""
        rule = InfoRule(Infos(self.plan))
        return [self.info(item) for item in rule.items()]

    def wanted_reports(self) -> list[str]:
        """Return those that belong to every run: all or none."""
        return list(self.reports.values()) if Reports(self.plan).wanted else []

    def reported(self) -> list[str]:
        """Return the files of a whole run that ``snakemake --report`` puts into its page."""
        worst, picture = self.evaluation().get("worst"), self.curve().get("picture")
        scales = Scales(self.plan)
        thumbnails = [scales.thumbnail(layer) for layer in scales.layers]
        return [*self.wanted_reports(), *(p for p in (worst, picture) if p is not None), *thumbnails]

    def _rules(self) -> Iterator[Rule[Any]]:
        return (rule for rule in Stages(self.plan).rules() if not isinstance(rule.stage, Reports))

    def each_final(self) -> Iterator[str]:
        """Yield what a whole run is asked for, infos first."""
        for rule in sorted(self._rules(), key=lambda rule: not isinstance(rule, InfoRule)):
            for item in rule.items() if (names := self._asked_for(rule)) else ():
                outputs = rule.outputs(item)
                yield from (outputs[name] for name in names)

    def _asked_for(self, rule: Rule[Any]) -> tuple[str, ...]:
        """Return the outputs requested of a run; all of a kept layer that is masked, whether or not a job needs them."""
        return ("shard",) if rule.keep and rule.kept and rule.name in self.plan.asked else rule.final

    def final(self) -> list[str]:
        """Return what a whole run is asked for: segmentation, object table, meshes, skeletons, scores and pyramids."""
        return list(self.each_final())

    def kept(self) -> list[str]:
        """Return every file that should lie there after a whole run: the final ones and the kept intermediates."""
        rules = (rule for rule in self._rules() if rule.kept)
        return [path for rule in rules for item in rule.items() for path in rule.outputs(item).values()]
