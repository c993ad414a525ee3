"""Titles as MovieLens and MovieTweetings write them, turned into names as people write and search them."""

import html
import re
from dataclasses import dataclass

# "(1995)" at the end, or the span of a series: "(2006-2007)", "(2015- )", with a hyphen or an en dash.
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?\s*)?\)\s*$")
ARTICLES = (
    "The|A|An|La|Le|Les|L'|Un|Une|El|Los|Las|Una|Il|Lo|Gli|I|Der|Die|Das|Ein|Eine|Det|Den|De|Het|En|Et|O|Os|As|Uma|Um"
)
# "Matrix, The", "Adventures of Mary-Kate and Ashley, The: The Case of ...": the article moves back to the front.
INVERTED = re.compile(rf"^(?P<rest>.+), (?P<article>{ARTICLES})(?P<tail>:.*)?$")
TRAILING = re.compile(r"^(?P<main>.+?)\s*\((?P<inside>[^()]+)\)$")
ALSO_KNOWN_AS = re.compile(r"^a\.?k\.?a\.?:?\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Title:
    """A title, taken apart.

    Attributes
    ----------
    name
        To show: without the year, articles in front.
    year
        Of release, the first one for a series; None where the title has none.
    names
        To search: the main name, then the ones in parentheses after it, translations for example.
    """

    name: str
    year: int | None
    names: tuple[str, ...]


def parse_title(text: str) -> Title:
    """Take a title apart; later snapshots of MovieTweetings have HTML's `&amp;` in theirs.

    Raises
    ------
    ValueError
        If nothing is left to call the film by.

    Examples
    --------
    >>> parse_title("Matrix, The (1999)")
    Title(name='The Matrix', year=1999, names=('The Matrix',))
    >>> parse_title("City of Lost Children, The (Cité des enfants perdus, La) (1995)").name
    'The City of Lost Children (La Cité des enfants perdus)'
    >>> parse_title("Dave Chappelle: Sticks &amp; Stones (2019)").name
    'Dave Chappelle: Sticks & Stones'
    >>> parse_title("Babylon 5")
    Title(name='Babylon 5', year=None, names=('Babylon 5',))
    """
    rest = " ".join(html.unescape(text).split())
    year = None
    if match := YEAR.search(rest):
        year, rest = int(match.group(1)), rest[: match.start()]
    others: list[str] = []
    main = rest
    while match := TRAILING.match(main):
        main = match.group("main")
        others.insert(0, _article_first(match.group("inside").strip()))
    main = _article_first(main)
    if not main:
        raise ValueError(f"a title needs a name, unlike {text!r}")
    name = " ".join([main, *(f"({other})" for other in others)])
    return Title(name, year, (main, *(ALSO_KNOWN_AS.sub("", other) for other in others)))


def _article_first(name: str) -> str:
    if not (match := INVERTED.match(name)):
        return name
    space = "" if match["article"].endswith("'") else " "
    return f"{match['article']}{space}{match['rest']}{match['tail'] or ''}"
