"""The metrics of several processes, summed: each writes its own into memory that all share, and reads the others'.

prometheus_client's own way for several processes writes files, which a disk that is read-only does not take, and has no
collectors. Each worker writes every second, and whenever it is asked; so sums are at most a second old, and what a
worker that was killed counted in its last second is lost.
"""

import json
import logging
import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

SLOT_BYTES = 2_000_000
_HEAD = struct.Struct("<III")  # of a half: the number of its writing, its length, the checksum of both
_HALF = (SLOT_BYTES - 1) // 2
_ROOM = _HALF - _HEAD.size

_log = logging.getLogger(__name__)

ADDED = {"http_requests_in_flight", "http_connections", "process_open_fds"}
"""Gauges that are shares of a sum, as are bytes; of others, such as a model's age, the greatest is shown."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class SharedMetrics:
    """A slot of memory for each worker; made before they are forked.

    A slot begins with whether who wrote it lives. It has two halves that are written in turns, so a worker that is
    killed while it writes leaves the other one. A half counts if its checksum is right: of several bytes a reader may
    see any before the others.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * SLOT_BYTES)

    def write(self, worker: int, families: list[Any]) -> None:
        """Publish the metrics of a worker."""
        body = json.dumps(families).encode()
        if len(body) > _ROOM:
            raise ValueError(f"{len(body)} bytes of metrics are more than the {_ROOM} that a worker can share")
        number = self._newest(worker)[0] + 1
        half = worker * SLOT_BYTES + 1 + number % 2 * _HALF
        self._memory[half + _HEAD.size : half + _HEAD.size + len(body)] = body
        _HEAD.pack_into(self._memory, half, number, len(body), zlib.crc32(body, number))
        self._memory[worker * SLOT_BYTES] = True

    def read(self, worker: int) -> tuple[list[Any], bool]:
        """Return what a worker published last, and whether it lives."""
        _, body = self._newest(worker)
        return (json.loads(body) if body else []), bool(self._memory[worker * SLOT_BYTES])

    def bury(self, worker: int) -> bool:
        """Note that a worker has ended, whose gauges go and counters stay; return whether it had published any."""
        lived, self._memory[worker * SLOT_BYTES] = bool(self._memory[worker * SLOT_BYTES]), False
        return lived

    def _newest(self, worker: int) -> tuple[int, bytes]:
        """Return the number and body of the last writing that is whole; of an empty half they are 0 and nothing."""
        found: list[tuple[int, bytes]] = []
        while not found:  # else both were written to while they were read
            for half in (worker * SLOT_BYTES + 1 + each * _HALF for each in range(2)):
                number, length, checksum = _HEAD.unpack_from(self._memory, half)
                body = self._memory[half + _HEAD.size : half + _HEAD.size + min(length, _ROOM)]
                if zlib.crc32(body, number) == checksum:
                    found.append((number, body))
        return max(found)

    def all(self) -> list[tuple[list[Any], bool]]:
        """Return what each worker published last."""
        return [self.read(worker) for worker in range(self._workers)]


class Sums(Collector):
    """The metrics of all workers, as one of them shows them."""

    def __init__(self, own: Collector, shared: SharedMetrics, worker: int) -> None:
        self._own, self._shared, self._worker = own, shared, worker
        self._before, _ = shared.read(worker)  # of who had this place and was killed
        self._fits = True

    def publish(self) -> None:
        """Let the others see the metrics of this worker; where they do not fit, the last that did stay."""
        own = [as_json(family) for family in self._own.collect()]
        both = [as_json(family) for family in summed([(own, True), (self._before, False)])]
        try:
            self._shared.write(self._worker, both)
        except ValueError as error:
            if self._fits:
                _log.error("the metrics of worker %d stay as they were: %s", self._worker, error)
            self._fits = False
        else:
            self._fits = True

    def collect(self) -> Iterator[Metric]:
        """Yield the sums; what is shown was published before, so that no counter goes back."""
        self.publish()
        yield from summed(self._shared.all())


def as_json(family: Metric) -> list[Any]:
    """Return a metric as JSON types, without the times when its samples began, which are no sums."""
    kept = [sample for sample in family.samples if not sample.name.endswith("_created")]
    samples = [[sample.name, sample.labels, sample.value] for sample in kept]
    return [family.name, family.documentation, family.type, samples]


def summed(workers: Iterable[tuple[list[Any], bool]]) -> Iterator[Metric]:
    """Yield metrics added up over workers: of one that has ended its counters and histograms only.

    Of a gauge that is no share of a sum the greatest is shown.

    Examples
    --------
    >>> counted = ["requests", "", "counter", [["requests_total", {}, 2.0]]]
    >>> using, age = ([name, "", "gauge", [[name, {}, 5.0]]] for name in ("memory_bytes", "age"))
    >>> workers = [([counted, using, age], lives) for lives in (True, True, False)]
    >>> [family.samples[0].value for family in summed(workers)]
    [6.0, 10.0, 5.0]
    """
    families: dict[str, tuple[str, str, Samples]] = {}
    for found, lives in workers:
        for name, documentation, kind, samples in found:
            if not lives and kind == "gauge":
                continue
            _, _, sums = families.setdefault(name, (documentation, kind, {}))
            add(sums, samples, greatest=kind == "gauge" and name not in ADDED and not name.endswith("_bytes"))
    for name, (documentation, kind, sums) in families.items():
        metric = Metric(name, documentation, kind)
        for (sample, labels), value in sums.items():
            metric.add_sample(sample, dict(labels), value)
        yield metric


def add(sums: Samples, samples: Iterable[tuple[str, Mapping[str, str], float]], *, greatest: bool) -> None:
    """Add samples to sums, or keep the greatest of each."""
    for name, labels, value in samples:
        key = name, tuple(labels.items())
        sums[key] = max(sums.get(key, value), value) if greatest else sums.get(key, 0.0) + value
