"""Inputs and params of a job: without the work that Snakemake repeats for each job, or does although it is never used."""

from collections.abc import Callable, Iterator
from typing import Any

from snakemake.exceptions import WildcardError
from snakemake.iocontainers import InputFiles

from connectomake_snakemake.replaced import replace as put
from connectomake_snakemake.tuning.files import file_of, is_ordinary

Expand = Callable[..., Any]
KNOWN: dict[str, dict[str, Any]] = {}
"""Files by rule and name, while the graph is made."""


def as_named(rule: Any) -> bool:
    """Return whether the names that an input function gives are the files' names: no storage, prefix or flag is added."""
    modifier, workflow = rule.input_modifier, rule.workflow
    if rule.dependencies or workflow.modifier.default_input_flags.flags_to_store_keys:
        return False
    if workflow.storage_settings.default_storage_provider is not None:
        return False
    return modifier is None or (modifier._prefix_replacements is modifier.prefix is modifier.inner_modifier is None)


def remembering(expand_input: Expand, known: dict[str, dict[str, Any]]) -> Expand:
    """Wrap what makes the inputs of a job: a file that jobs of the same rule read is made once."""

    def expand(self: Any, wildcards: Any, groupid: Any = None) -> Any:
        if not as_named(self):
            return expand_input(self, wildcards, groupid=groupid)
        mine, odd = known.setdefault(self.name, {}), []

        def file(name: Any, wildcards: Any, function: Any, _incomplete: bool) -> Any:
            if function is None:
                found = name.apply_wildcards(wildcards)
            elif type(name) is str and is_ordinary(name) and not getattr(function, "flags", None):
                if name not in mine:
                    mine[name] = file_of(name, self)
                return mine[name]
            else:
                raise NotPlain
            odd.append(found)
            return found

        files = InputFiles()
        try:
            incomplete = self._apply_wildcards(
                files, self.input, wildcards, concretize=file, incomplete_checkpoint_func=_not_here, groupid=groupid
            )
        except (NotPlain, WildcardError):
            return expand_input(self, wildcards, groupid=groupid)
        for found in odd:
            found.check()
        return files, {}, {}, incomplete

    return expand


class NotPlain(Exception):  # noqa: N818
    """An input that Snakemake must make itself."""


def _not_here(_error: Exception) -> Any:
    raise NotPlain


def lazily(expand_params: Expand) -> Expand:
    """Wrap what works out the params of a job: lists of its files are made only for functions that ask for them.

    Jobs with the same params share them.
    """
    known: dict[Any, Any] = {}

    def expand(self: Any, wildcards: Any, input: Any, output: Any, job: Any, omit_callable: bool = False) -> Any:  # noqa: A002
        params, own = expand_params(self, wildcards, WhenAsked(input), WhenAsked(output), job, omit_callable)
        if omit_callable or not all(type(value) is str for value in params):
            return params, own
        return known.setdefault((self.name, *params), (params, own))

    return expand


class WhenAsked:
    """Files of a job, whose names are listed when a function for params wants them: Snakemake calls what it can call."""

    __slots__ = ("_files",)

    def __init__(self, files: Any) -> None:
        self._files = files

    def _plainstrings(self) -> "WhenAsked":
        return self

    def __call__(self) -> Any:
        """Return the names."""
        return self._files._plainstrings()

    def __iter__(self) -> Iterator[str]:
        return iter(self())

    def __contains__(self, name: object) -> bool:
        return name in self._files


def replace() -> None:
    """Put that in place."""
    put(
        {
            "snakemake.rules:Rule.expand_input": lambda own: remembering(own, KNOWN),
            "snakemake.rules:Rule.expand_params": lazily,
        }
    )
