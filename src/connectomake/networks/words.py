"""What foreign code says when it fails, cut to a sentence."""


def first_words(error: BaseException) -> str:
    """Return the first sentence of what a library or a model file complains about."""
    lines = str(error).strip().splitlines() or ["no message"]
    return lines[0].split(". ", maxsplit=1)[0].rstrip(".")[:200]
