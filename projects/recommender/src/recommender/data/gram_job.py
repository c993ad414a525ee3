"""The Gram matrices of a stored data set, each summed once and kept; as a command, the job that Spark runs.

``python -m recommender.data.gram_job DIR --engine spark`` leaves ``DIR/grams/{key}.npy`` for ``recommender train
--data DIR --engine spark``, which may run where there is no Spark. The key is a hash of the stored ratings and of all
else that a matrix depends on, so one that does not fit is not found. NumPy and pyarrow alone, see `gram.py`.
"""

import argparse
import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import file_sha256
from recommender.config import EaseSettings, EngineName, tuned_settings
from recommender.data import gram, shaping
from recommender.data.etl.engine import Engine
from recommender.data.etl.job import open_engine
from recommender.data.etl.manifest import Manifest, checked, read_manifest
from recommender.data.etl.run import locked
from recommender.data.etl.stages import GRAMS, LEARNED, RATINGS, code_sha256
from recommender.data.gram import gram_of_ratings
from recommender.data.shaping import LARGEST_EIGENPROBLEM, emphasis, shaping_films
from recommender.data.totals import BEFORE, PARTS, Part, Totals, read_totals


def main() -> None:
    """Sum what is missing for the settings in use, or for those of a file that `tune` wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that `recommender etl` wrote")
    parser.add_argument("--engine", choices=("duckdb", "spark"), required=True)
    parser.add_argument("--memory-limit", default="1GB", help="of the engine (default: %(default)s)")
    parser.add_argument("--tuned", type=Path, help="file of a search on your data; none: the package's settings")
    options = parser.parse_args()
    ease = tuned_settings(path=options.tuned).ease
    for path in sum_missing(options.data, ease, options.engine, memory_limit=options.memory_limit):
        print(path)  # noqa: T201


def path_of(folder: Path, ease: EaseSettings, part: Part, manifest: Manifest | None = None) -> Path:
    """Return where the Gram matrix of a part of a stored data set is kept, or will be; of the manifest that it has."""
    manifest = manifest or read_manifest(folder)
    depends_on = {
        "files": {name: sorted(manifest.stage(name).files.items()) for name in LEARNED},
        "code": code_sha256(gram, shaping, Totals, sys.modules[__name__]),
        "engines": [file_sha256(path) for path in sorted(Path(__file__).parent.glob("etl/*_engine.py"))],
        "part": part,
        "min_raters": ease.min_raters,
        "length_exponent": ease.length_exponent,
        "films": LARGEST_EIGENPROBLEM,
    }
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return folder / GRAMS / f"{key[:16]}.npy"


def missing(folder: Path, ease: EaseSettings) -> list[Part]:
    """Return the parts whose Gram matrix is not kept."""
    return [part for part in PARTS if not path_of(folder, ease, part).is_file()]


def sum_missing(folder: Path, ease: EaseSettings, engine: EngineName, *, memory_limit: str) -> list[Path]:
    """Sum with an engine of this process what is missing, keep it, and return the files that are new."""
    if not missing(folder, ease):
        return []
    with TemporaryDirectory() as temp:
        opened = open_engine(engine, memory_limit=memory_limit, temp=Path(temp))
        try:
            return sum_with(opened, folder, ease)
        finally:
            opened.close()


def sum_with(engine: Engine, folder: Path, ease: EaseSettings) -> list[Path]:
    """Sum what is missing with an engine that is open; return the files that are new.

    Raises
    ------
    DataError
        If the folder is not as it was written, somebody else writes it, or no film was rated by enough people.
    """
    with locked(folder), checked(folder, LEARNED):
        for left in (folder / GRAMS).glob("*.part"):  # by one that was killed
            left.unlink()
        totals = read_totals(folder)
        engine.view(RATINGS, folder / RATINGS)
        new = {part: path_of(folder, ease, part) for part in missing(folder, ease)}
        for part, path in new.items():
            _sum(engine, totals, ease, part, path)
    return list(new.values())


def _sum(engine: Engine, totals: Totals, ease: EaseSettings, part: Part, path: Path) -> None:
    """Sum the Gram matrix of a part, and put it in place when it is whole."""
    films = shaping_films(totals.raters[part], min_raters=ease.min_raters)
    if len(films) == 0:
        raise DataError(f"no film was rated by {ease.min_raters} people: use more data, or a lower min_raters")
    sum_up = partial(
        gram_of_ratings,
        user_ids=totals.user_ids,
        weights=emphasis(totals.lengths[part], ease.length_exponent),
        film_ids=totals.film_ids[films],
    )
    query = f"SELECT user_id, film_id FROM {RATINGS} WHERE part < {BEFORE[part]}"  # noqa: S608
    G = engine.summed(query, sum_up)
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, G, allow_pickle=False)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
