"""The ETL as a command of its own: ``python -m recommender.data.etl.job SOURCE -o DIR --engine spark``.

Here is no pandas, no SciPy and no DuckDB where that is not the engine: this runs in the environment of Spark as well.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console

from portfolio_shared.terminal import Command, run_command
from recommender.config import EtlConfig
from recommender.data.etl.engine import Engine, EngineError
from recommender.data.etl.run import locked, run_etl
from recommender.data.etl.spark_command import has_spark, run_on_spark
from recommender.data.source import resolve_dataset


def open_engine(name: Literal["duckdb", "spark"], *, memory_limit: str, temp: Path) -> Engine:
    """Start an engine; what does not fit into memory goes to files in a folder."""
    if name == "spark":
        if not has_spark():
            raise EngineError(f"{sys.executable} has no PySpark: name a command that runs Python with it")
        from recommender.data.etl.spark_engine import SparkEngine

        return SparkEngine(memory_limit=memory_limit, temp=temp)
    from recommender.data.etl.duckdb_engine import DuckDBEngine

    return DuckDBEngine(memory_limit=memory_limit, temp=temp)


def etl(config: EtlConfig) -> None:
    """Run the ETL as the settings say, with Spark in another process where this one has none."""
    if config.engine == "spark" and not has_spark():
        run_on_spark("recommender.data.etl.job", *_arguments(config), command=config.spark_command)
    else:
        etl_here(config)


def etl_here(config: EtlConfig) -> None:
    """Run the ETL in this process."""
    console = Console(markup=False, highlight=False)
    source = resolve_dataset(config.source, dataset=config.dataset)
    console.print(source.reason, soft_wrap=True)
    with locked(config.output), _engine(config) as engine:
        manifest = run_etl(source, config.output, engine, most_unreadable=config.most_unreadable, say=console.print)
    console.print(manifest.report().as_table())


@contextmanager
def _engine(config: EtlConfig) -> Iterator[Engine]:
    """Yield an engine with a folder of the output's own, which nobody else uses while the output is locked."""
    output = config.output.resolve()
    name = f".etl-{hashlib.sha256(str(output).encode()).hexdigest()[:8]}"
    temp = (config.temp or output.parent) / name
    shutil.rmtree(temp, ignore_errors=True)  # of a run that was killed
    temp.mkdir(parents=True, exist_ok=True)
    try:
        with closing(open_engine(config.engine, memory_limit=config.memory_limit, temp=temp)) as engine:
            yield engine
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _arguments(config: EtlConfig) -> list[str]:
    given = config.model_dump(mode="json", exclude={"source", "spark_command"}, exclude_none=True)
    return [config.source, *(f"--{name.replace('_', '-')}={value}" for name, value in given.items())]


def main() -> None:
    """Run the command with the arguments of the process, and start no other: it was started to have PySpark."""
    run_command("job", {"etl": Command(EtlConfig, etl_here)}, ["etl", *sys.argv[1:]])


if __name__ == "__main__":
    main()
