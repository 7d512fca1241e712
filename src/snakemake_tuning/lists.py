"""Lists with names, seven for each job: what each has of its own that is the same for all."""

from collections.abc import Callable
from typing import Any

from snakemake.iocontainers import AttributeGuard

GUARDED = ["index", "sort"]
GUARDS = {name: AttributeGuard(name) for name in GUARDED}


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
        self.__dict__.update(_names={}, _allowed_overrides=GUARDED, **GUARDS)
        if hasattr(toclone, "_get_names"):
            self._take_names(toclone._get_names())
        for key, item in (fromdict or {}).items():
            self.append(item)
            self._add_name(key)

    return begin


def replace() -> None:
    """Put that in place."""
    from snakemake.iocontainers import Namedlist

    Namedlist.__init__ = lighter(Namedlist.__init__)
