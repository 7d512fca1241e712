"""Pages of a TIFF file: what their samples mean, and which of them are one volume."""

from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources.photometry import WAY_OUT, Photometry, grey_palette

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = 7
_PHOTOMETRIC_TAG, _ORIENTATION_TAG = 262, 274
_ALPHA = (1, 2)
_SAMPLED_KIND = "uniform"
"""Series of which tifffile looks at three pages only."""


def photometry_of(page: Any, where: str) -> Photometry:
    """Return what the samples of a page mean; of a page that does not say, 0 is black.

    Raises
    ------
    SourceError
        If they cannot be grey, or it is not sure how they become it.
    """
    kind = int(page.photometric) if _PHOTOMETRIC_TAG in page.tags else _BLACK_IS_ZERO
    colours = 3 if kind in (_RGB, _YCBCR) else 1
    dtype = np.dtype(page.dtype).newbyteorder("=") if page.dtype is not None else None
    _refuse_kind(page, kind, dtype, where)
    _refuse_samples(page, colours, where)
    return Photometry(
        "uint8" if kind == _PALETTE else dtype.name,  # type: ignore[union-attr]
        int(page.bitspersample),
        colours,
        int(page.samplesperpixel) - colours,
        kind == _WHITE_IS_ZERO,
        grey_palette(np.asarray(page.colormap).T) if kind == _PALETTE else None,
    )


def _refuse_kind(page: Any, kind: int, dtype: Any, where: str) -> None:
    named = f"{where} has the photometric {getattr(page.photometric, 'name', page.photometric)}"
    if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR) or (kind == _YCBCR and page.compression != _JPEG):
        raise SourceError(f"{named}, which is not grey; {WAY_OUT}")
    if dtype is None or not isinstance(page.bitspersample, int):
        raise SourceError(f"{where} has samples of {page.bitspersample} bits, which are not read; {WAY_OUT}")
    if kind == _WHITE_IS_ZERO and dtype.kind not in "bui":
        raise SourceError(
            f"{named} (0 is white) and values of {dtype}, for which black is not defined; save it with MINISBLACK"
        )
    if kind == _PALETTE and page.colormap is None:
        raise SourceError(f"{named}, but no palette; {WAY_OUT}")


def _refuse_samples(page: Any, colours: int, where: str) -> None:
    count, extra = int(page.samplesperpixel), tuple(int(e) for e in page.extrasamples)
    opacities = extra[: count - colours]
    if count < colours or len(opacities) != count - colours or any(e not in _ALPHA for e in opacities):
        raise SourceError(
            f"{where} has {count} samples per voxel that are not a grey image; save channels as pages, or {WAY_OUT}"
        )


def page_grey(page: Any, photometry: Photometry, where: str) -> np.ndarray:
    """Return the grey values (y, x) of a page.

    Raises
    ------
    SourceError
        If it has colours.
    """
    samples = np.asarray(page.asarray())
    if photometry.samples > 1 and page.keyframe.axes.startswith("S"):
        samples = np.moveaxis(samples, 0, -1)
    grey = photometry.grey(samples, where)
    return grey.astype(grey.dtype.newbyteorder("="), copy=False)


def series_grey(series: Any, index: int, photometry: Photometry, where: str) -> np.ndarray:
    """Return the grey values (y, x) of one page of a series, read as that page says, which may differ from the first.

    Raises
    ------
    SourceError
        If its shape or dtype differ from those of the first, or it has colours.
    """
    page = _own(series, index)
    meaning = photometry if page is series.keyframe or page is series.pages[index] else photometry_of(page, where)
    if (meaning.dtype, page.shape) != (photometry.dtype, series.keyframe.shape):
        first = f"{series.keyframe.shape} {photometry.dtype}"
        raise SourceError(f"{where} is {page.shape} {meaning.dtype}, but the first is {first}; all must be alike")
    return page_grey(page, meaning, where)


def alike(series: Any, photometry: Photometry, where: str) -> bool:
    """Whether all pages of a series mean the same by their samples as the first."""
    if series.kind != _SAMPLED_KIND:
        return True
    pages = (_own(series, i) for i in range(len(series.pages)))
    return all(p is series.keyframe or photometry_of(p, where) == photometry for p in pages)


def _own(series: Any, index: int) -> Any:
    """Return a page with its own tags where tifffile took it, unseen, to be like the first."""
    page = series.pages[index]
    return page if series.kind != _SAMPLED_KIND or getattr(page, "is_virtual", False) else page.aspage()


def oriented(page: Any) -> str | None:
    """Say that a page asks to be turned, which is not done; None if it does not."""
    tag = page.tags.get(_ORIENTATION_TAG)
    value = 1 if tag is None else int(tag.value)
    return None if value == 1 else f"is stored turned or mirrored (Orientation {value}) and is read as it is stored"


def loose_pages(file: Any) -> list[Any] | None:
    """Return the pages in their order if they are one volume, though tifffile puts them into several series.

    It does so with pages that were appended one by one, or differ in compression, strips, or the meaning of 0.
    """
    series = file.series
    form = (series[0].shape[-2:], series[0].dtype)
    for part in series:
        if part.kind not in ("generic", "uniform", "shaped") or part.axes[-2:] != "YX" or len(part.shape) > 3:
            return None
        if (part.shape[-2:], part.dtype) != form or (part.kind == "shaped" and len(part.shape) > 2):
            return None
        if len(part.pages) != int(np.prod(part.shape[:-2])):
            return None
    pages = sorted((page for part in series for page in part.pages), key=lambda page: int(page.index))
    return pages if len(pages) > 1 else None


def further_images(file: Any) -> str | None:
    """Say that a file holds further images, which are not read; None if it does not."""
    others = file.series[1:]
    if not others:
        return None
    shapes = ", ".join(str(tuple(s.shape)) for s in others[:3]) + (", …" if len(others) > 3 else "")
    return f"holds {len(others)} further image{'s' if len(others) > 1 else ''} beside the first, not read: {shapes}"
