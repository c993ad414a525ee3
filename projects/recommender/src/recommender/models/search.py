"""Find a film by what somebody types: the beginning of a word, a word with a typo, without accents, with a year."""

import re
import unicodedata
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, Film

LONGEST_WORD = 20  # letters that are compared
# How well a word of the query is met; what matters is the order of these numbers.
EXACT, BEGINS, YEAR, ONE_TYPO, TWO_TYPOS, BEGINS_WITH_TYPO = 1.0, 0.8, 0.7, 0.6, 0.4, 0.3
MOST_TYPOS = 2
COVERED, POPULAR = 0.3, 0.25  # what a title without other words adds, and being the film that most people rated
# Letters that have no accent to take off, but are typed as others.
PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"}
)
INSIDE = re.compile(r"[^\w\s]|_")


def fold(text: str) -> str:
    """Return text in small letters without accents.

    Examples
    --------
    >>> fold("Amélie, ŒUVRE")
    'amelie, oeuvre'
    """
    plain = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """Return the words of a text.

    Examples
    --------
    >>> words_of("Ocean's Eleven & Spider-Man")
    ['oceans', 'eleven', 'and', 'spider', 'man']
    """
    plain = re.sub(r"['\u2019]s\b", "s", fold(text)).replace("&", " and ")
    return INSIDE.sub(" ", plain).split()


class FilmSearch:
    """Index over the names of all films; a few milliseconds a query on 10,000 films."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        owners, entries, lengths = [], [], []
        for position, film in enumerate(catalogue.films):
            for name in film.names:
                words = words_of(name)
                # "Spider-Man" is found as "spider man" and as "spiderman".
                joined = {"".join(words_of(part)) for part in name.split() if len(words_of(part)) > 1}
                if words:
                    owners.append(position)
                    entries.append(sorted({*words, *joined}))
                    lengths.append(len(words))
        self._vocabulary = sorted({word for entry in entries for word in entry})
        number = {word: place for place, word in enumerate(self._vocabulary)}
        self._owners = np.array(owners)  # (n_names,) film of each name
        self._lengths = np.array(lengths)  # (n_names,) words of each name
        self._words = np.array([number[word] for entry in entries for word in entry])  # words of all names in a row
        self._starts = np.concatenate([[0], np.cumsum([len(entry) for entry in entries])[:-1]])
        self._letters = _letters(self._vocabulary)
        self._tally = _tally(self._letters)
        self._popularity = np.log1p(catalogue.n_ratings) / np.log1p(max(1, int(catalogue.n_ratings.max())))

    def find(self, query: str, *, limit: int = 10) -> list[Film]:
        """Return the films that fit best, at most `limit`; none for a query without a letter or digit.

        Every word must be met, by an equal word, a word that begins so, or one with few other letters; only if no
        film meets all, those that meet most are returned. A year also fits a film of that year. Among equal fits,
        the film that more people rated comes first.
        """
        words = [word[:LONGEST_WORD] for word in dict.fromkeys(words_of(query))]
        if not words:
            return []
        in_name = np.array([self._fit_of_names(word) for word in words])  # (n_query_words, n_names)
        covered = np.minimum((in_name > 0).sum(axis=0) / self._lengths, 1.0)
        fits = np.maximum(in_name, [self._fit_of_year(word) for word in words])
        met = (fits > 0).sum(axis=0)
        if met.max() == 0:
            return []
        score = fits.mean(axis=0) + COVERED * covered + POPULAR * self._popularity[self._owners]
        names = np.flatnonzero(met == met.max())
        names = names[np.argsort(-score[names], kind="stable")]
        best = dict.fromkeys(self._owners[names].tolist())  # the best name of each film, in order
        return [self._catalogue.films[position] for position in list(best)[:limit]]

    def _fit_of_names(self, word: str) -> NDArray[np.float64]:
        """How well each name meets one word of the query, shape (n_names,); 0 where it does not."""
        return np.asarray(np.maximum.reduceat(self._fit_of_words(word)[self._words], self._starts))

    def _fit_of_year(self, word: str) -> NDArray[np.float64]:
        """How well the film of each name meets a word that is a year, shape (n_names,)."""
        if not re.fullmatch(r"[0-9]{4}", word):
            return np.zeros(len(self._owners))
        return np.where(self._catalogue.years[self._owners] == int(word), YEAR, 0.0)

    def _fit_of_words(self, word: str) -> NDArray[np.float64]:
        fit = np.zeros(len(self._vocabulary))
        first = bisect_left(self._vocabulary, word)
        last = bisect_left(self._vocabulary, word + "\U0010ffff")
        fit[first:last] = BEGINS
        if first < last and self._vocabulary[first] == word:
            fit[first] = EXACT
        if first == last and len(word) >= 4 and not word.isdigit():
            # A word without three of the letters typed is three typos away: most of the vocabulary drops out here.
            missing = np.maximum(_tally(_letters([word])) - self._tally, 0).sum(axis=1)
            near = np.flatnonzero(missing <= MOST_TYPOS)
            whole, beginning = edit_distances(word, self._letters[near])
            if len(word) >= 5:
                fit[near[beginning == 1]] = BEGINS_WITH_TYPO
            if len(word) >= 7:
                fit[near[whole == 2]] = TWO_TYPOS
            fit[near[whole == 1]] = ONE_TYPO
        return fit


def edit_distances(word: str, letters: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count the letters to add, drop, change or swap with a neighbor to get from a word to every other word.

    Parameters
    ----------
    word
        What was typed.
    letters
        Shape (n_words, LONGEST_WORD): code points of the other words, filled up with 0.

    Returns
    -------
    whole, beginning
        Shape (n_words,) each: distance to the word, and to the nearest of its beginnings (Damerau 1964, in the
        variant that edits no swapped pair again; one step of the usual table for all words at once).
    """
    n_words, longest = letters.shape
    typed = [ord(letter) for letter in word]
    rows = [np.tile(np.arange(longest + 1, dtype=np.int32), (n_words, 1)).T]  # each (longest + 1, n_words)
    columns = np.ascontiguousarray(letters.T)
    for i, letter in enumerate(typed):
        row = np.empty_like(rows[0])
        row[0] = i + 1
        same = columns == letter
        for j in range(longest):
            row[j + 1] = np.minimum(np.minimum(row[j], rows[i][j + 1]) + 1, rows[i][j] + ~same[j])
            if i > 0 and j > 0:
                swapped = (columns[j - 1] == letter) & (columns[j] == typed[i - 1])
                row[j + 1] = np.where(swapped, np.minimum(row[j + 1], rows[i - 1][j - 1] + 1), row[j + 1])
        rows.append(row)
    lengths = (letters > 0).sum(axis=1)
    inside = np.arange(longest + 1)[:, None] <= lengths
    whole = rows[-1][lengths, np.arange(n_words)]
    return whole, np.where(inside, rows[-1], np.iinfo(np.int32).max).min(axis=0)


def _letters(words: list[str]) -> NDArray[np.int32]:
    letters = np.zeros((len(words), LONGEST_WORD), dtype=np.int32)
    for row, word in zip(letters, words, strict=True):
        codes = [ord(letter) for letter in word[:LONGEST_WORD]]
        row[: len(codes)] = codes
    return letters


def _tally(letters: NDArray[np.int32]) -> NDArray[np.int8]:
    """Count the letters of each word, shape (n_words, 64); letters beyond the alphabet share places."""
    counts = np.zeros((len(letters), 64), dtype=np.int8)
    rows, columns = np.nonzero(letters)
    np.add.at(counts, (rows, letters[rows, columns] % 64), 1)
    return counts
