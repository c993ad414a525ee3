"""Texts from data in Markdown: names of columns, cells and files are shown, never obeyed."""

import re

TAG = re.compile(r"<(?=[A-Za-z/!?])")  # what HTML begins with; "p < 0.05" is none


def plain(text: str) -> str:
    r"""Return a text as Markdown that shows it as it is: no link, picture, emphasis or HTML comes of it.

    Examples
    --------
    >>> print(plain("![x](y) <b>*new* a_b"))
    !\[x\](y) &lt;b>\*new\* a_b
    """
    return re.sub(r"([\\`*\[\]])", r"\\\1", TAG.sub("&lt;", " ".join(text.split())))
