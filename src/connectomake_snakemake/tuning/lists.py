"""Snakemake's named lists, seven for each job: sharing what is the same for all of them."""

from collections.abc import Callable
from typing import Any

from snakemake.iocontainers import AttributeGuard

from connectomake_snakemake.replaced import replace as put

GUARDED = ["index", "sort"]
GUARDS = {name: AttributeGuard(name) for name in GUARDED}
PLACES = [(i, None) for i in range(32)]
_free: dict[Any, bool] = {}
"""Whether a name may be given to an item: not those of methods."""


def lighter(make: Callable[..., None]) -> Callable[..., None]:
    """Wrap what makes a list with names: the common ways of it, with what guards the methods of lists shared."""

    def begin(
        self: Any,
        toclone: Any = None,
        fromdict: Any = None,
        plainstr: bool = False,
        **others: Any,
    ) -> None:
        if plainstr or others:
            make(self, toclone, fromdict, plainstr, **others)
            return
        list.__init__(self, () if toclone is None else toclone)
        # one by one: the lists of a kind then share the names of their attributes
        self._names, self._allowed_overrides = {}, GUARDED
        self.index, self.sort = GUARDS["index"], GUARDS["sort"]
        if hasattr(toclone, "_get_names"):
            self._take_names(toclone._get_names())
        for key, item in (fromdict or {}).items():
            self.append(item)
            self._add_name(key)

    return begin


def named(set_name: Callable[..., None]) -> Callable[..., None]:
    """Wrap what names items of a list: which names may be given is worked out once for each."""

    def name_it(self: Any, name: Any, index: int, end: Any = None) -> None:
        if end is not None or not _is_free(type(self), name):
            set_name(self, name, index, end)
            return
        self._names[name] = PLACES[index] if index < len(PLACES) else (index, None)
        setattr(self, name, list.__getitem__(self, index))

    return name_it


def _is_free(kind: type, name: Any) -> bool:
    key = kind, name
    if key not in _free:
        _free[key] = type(name) is str and (name in GUARDED or not hasattr(kind, name))
    return _free[key]


def replace() -> None:
    """Put that in place."""
    put({"snakemake.iocontainers:Namedlist.__init__": lighter, "snakemake.iocontainers:Namedlist._set_name": named})
