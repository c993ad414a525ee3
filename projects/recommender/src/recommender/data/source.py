"""The data sets: MovieLens, which is downloaded, and the sample of MovieTweetings, which ships; archives are unpacked.

Harper and Konstan (2015), "The MovieLens Datasets: History and Context", ACM TiiS 5 (4), article 19,
https://doi.org/10.1145/2827872. Their terms allow research, not redistribution: nothing of them is in this
repository, and a copy is downloaded from GroupLens when somebody asks for it. `sample/SOURCE.md` has the sample's.
"""

from dataclasses import replace
from pathlib import Path

from portfolio_shared.data.archives import unpack_aside
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import RemoteFile, data_directory
from portfolio_shared.data.sources import Sample, Source, resolve_source
from recommender.data.etl.manifest import is_etl_folder, read_manifest

HOST = "https://files.grouplens.org/datasets/movielens"
TABLES = (".csv", ".tsv", ".dat", ".data", ".item", ".txt", ".xlsx", ".xls", ".parquet", ".json")
SAMPLE = Sample(
    path=Path(__file__).parent / "sample" / "movietweetings.zip",
    name="49,502 ratings of MovieTweetings, 2013",
    sha256="4d52bee3c8764586fbfa0b50587ecfd3559e4753806a42bf70df4d51c9aa3e6e",
)


def _archive(name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(path=f"{name}.zip", urls=(f"{HOST}/{name}.zip",), sha256=(sha256,), size=size)


# SHA-256 of latest-small, 1M and 25M: as TensorFlow Datasets publishes them. GroupLens itself publishes only MD5,
# and none for latest-small. Those of 100K (MD5 0e33842e24a9c977be4e0107933c0723) and 32M (MD5
# d472be332d4daa821edc399621853b57) are what several independent public projects found in archives of exactly this
# size; latest-small may change at its source, which then shows as a mismatch.
DATASETS = {
    "latest-small": _archive(
        "ml-latest-small", "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436", 978_202
    ),
    "100k": _archive("ml-100k", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", 4_924_029),
    "1m": _archive("ml-1m", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20", 5_917_549),
    "25m": _archive("ml-25m", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa", 261_978_986),
    "32m": _archive("ml-32m", "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee", 238_950_008),
}


def resolve_dataset(setting: str, *, dataset: str) -> Source:
    """Turn the data setting into a source; its path is that of an archive or of a folder.

    Parameters
    ----------
    setting
        ``auto``, ``sample``, ``full`` or a path, as in `portfolio_shared.data.sources.resolve_source`. The path is
        an unpacked folder of any of the data sets, or an archive.
    dataset
        Which public data set ``auto`` and ``full`` mean: a key of `DATASETS`. An unpacked folder in the cache is used
        as it is.

    Raises
    ------
    ValueError
        If the setting is unknown.
    DownloadError
        If ``full`` was asked for and cannot be had.
    DataError
        If the sample was changed.
    """
    remote, cache = DATASETS[dataset], data_directory()
    unpacked = cache / remote.path.removesuffix(".zip")
    if setting in ("auto", "full") and unpacked.is_dir():
        return Source("full", unpacked, f"Data: full, MovieLens {dataset} from the cache {unpacked}")
    source = resolve_source(setting, remote, SAMPLE)
    if is_etl_folder(source.path) and read_manifest(source.path).source.kind == "sample":
        # What is learned from them is a sample's model, which the gate lets replace no other.
        return replace(source, kind="sample", reason=f"{source.reason}: tables of the sample that ships")
    return source


def folder_of(source: Source) -> Path:
    """Return a folder that `read_ratings` can read; an archive is unpacked below the working directory.

    Raises
    ------
    DataError
        If an archive is refused, or the path is that of one table.
    """
    if source.path.is_dir():
        return source.path
    if source.path.name.lower().removesuffix(".gz").endswith(TABLES):
        raise DataError(
            f"{source.path} is one file: ratings and films are two, so name the folder, or an archive, that has both"
        )
    return unpack_aside(source.path)
