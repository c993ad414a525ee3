"""The films' job on Spark, in one session: the stored tables of a data set, and the sums that a training needs of them.

It is for `spark-submit`, which takes a file: ``spark-submit --master spark://HOST:7077 spark_job.py SOURCE --output
DIR``.
Without Java at hand, `recommender train --data DIR --engine spark` then reads all it needs from DIR.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from portfolio_shared.data.checks import DataError
from recommender.config import EtlConfig, tuned_settings
from recommender.data.etl.engine import EngineError
from recommender.data.etl.run import run_etl
from recommender.data.etl.spark_engine import SparkEngine
from recommender.data.gram_job import sum_with
from recommender.data.source import resolve_dataset


def main() -> None:
    """Run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="sample, or a folder or archive of MovieLens or MovieTweetings")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the tables, which all machines can write"
    )
    parser.add_argument(
        "--memory-limit", default="2g", help="of the driver, without spark-submit (default: %(default)s)"
    )
    parser.add_argument("--tuned", type=Path, help="file of a search on your data; none: the package's settings")
    options = parser.parse_args()
    with TemporaryDirectory() as temp:  # not beside the tables, as `job.py` has it: that is where all machines write
        try:
            engine = SparkEngine(memory_limit=options.memory_limit, temp=Path(temp))
            try:
                say = partial(print, flush=True)
                source = resolve_dataset(options.source, dataset="latest-small")
                most: float = EtlConfig.model_fields["most_unreadable"].default
                run_etl(source, options.output, engine, most_unreadable=most, say=say)
                for path in sum_with(engine, options.output, tuned_settings(path=options.tuned).ease):
                    say(f"{path.relative_to(options.output)}: summed")
            finally:
                engine.close()
        except (DataError, EngineError) as error:
            sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
