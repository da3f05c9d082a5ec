"""A run as a service: samples of an iterable in, answers out."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import IO, Any

from ._errors import Error, needs
from ._program import end, error, start
from ._run import Run
from ._words import assignments, flags

_LOG = logging.getLogger("pom2dib")

#: A sample: what was observed of each modality, and its number under "seq" if it has one.
Sample = Mapping[str, Any]


class Service(Iterator[dict[str, Any]]):
    """The answers of a service, as they come: dicts with the keys of docs/serving.md.

    Iterating ends when every sample has been answered or skipped; what goes wrong, in the service or in the iterable, is raised there.
    As a context manager it ends the service.
    """

    def __init__(self, words: list[str], samples: Iterable[Sample] | None) -> None:
        """Starts ``pom2dib serve`` with these words; without samples it takes the test set's."""
        self._summary: dict[str, Any] | None = None
        self._said: list[str] = []
        self._fault: BaseException | None = None
        self._was_closed = False
        self._process = subprocess.Popen(
            [*start(), "serve", "--json", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own: a terminal's Ctrl-C is for the caller.
            start_new_session=True,
        )
        self._threads = [threading.Thread(target=self._listen, name="pom2dib", daemon=True)]
        if samples is not None:
            self._threads.append(threading.Thread(target=self._feed, args=(samples,), name="pom2dib", daemon=True))
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        """Reads along what the program says: a pipe that nobody reads would stop it."""
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in io.TextIOWrapper(lines, "utf-8", "replace"):
                line = line.rstrip("\n")
                self._said.append(line)
                del self._said[:-100]
                (_LOG.warning if line.startswith("standard input: ") else _LOG.info)("%s", line)

    def _feed(self, samples: Iterable[Sample]) -> None:
        """Writes the samples, until there are no more or the service has ended."""
        assert self._process.stdin is not None
        try:
            with self._process.stdin as into:
                seq = -1
                for sample in samples:
                    seq = int(sample.get("seq", seq + 1))
                    _write(into, seq, sample)
                    into.flush()
        except BrokenPipeError:
            # It takes no more: at a limit, or because it has failed, which is told elsewhere.
            pass
        except BaseException as fault:
            self._fault = fault

    def __iter__(self) -> Service:
        return self

    def __next__(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            for line in self._process.stdout:
                said: dict[str, Any] = json.loads(line)
                if "seq" in said:
                    return said
                self._summary = said
        self._finish()
        raise StopIteration

    def _finish(self) -> None:
        """Waits for the end, and raises what went wrong."""
        status = self._process.wait()
        self._threads[0].join()
        if self._fault is not None:
            raise self._fault
        # How a service ends that is closed in mid-stream is no fault of its own.
        if status != 0 and not self._was_closed:
            raise error(status, self._said)

    @property
    def summary(self) -> dict[str, Any]:
        """What the service came to, when it has ended; answers that nobody has read are passed over.

        Raises:
            Error: if the service failed, or was closed before its end.
        """
        for _ in self:
            pass
        if self._summary is None:
            raise Error("the service was closed before its end, and has no summary")
        return self._summary

    def close(self) -> None:
        """Ends the service: no more samples are taken, and nobody waits for answers."""
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._was_closed = True
            self._process.terminate()
            # It would wait for whoever reads.
            self._process.stdout.close()
            end(self._process)
        self._process.stdout.close()
        self._threads[0].join()

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    run: Run | str | os.PathLike[str],
    source: Iterable[Sample] | None = None,
    *,
    rate: float | None = None,
    limit: int | None = None,
    batch_up_to: int | None = None,
    wait_up_to: float | None = None,
    queue: int | None = None,
    when_full: str | None = None,
    deadline: float | None = None,
    redraw: str | None = None,
    reload: bool = False,
    best: bool = False,
    data: str | os.PathLike[str] | None = None,
    set: Mapping[str, Any] | None = None,
    device: str | None = None,
    threads: int | None = None,
    in_process: bool = False,
) -> Service:
    """Answers samples with the networks of a run: the answers come by iterating over what this returns.

    Args:
        run: the run, or its folder.
        source: the samples, each ``{"fft": values, "mel": values}``: of every modality a list or an array of any shape with as many
            numbers as a sample of it has; ``"1:mel"`` is observed by transmitter 1 alone. Samples are numbered from 0, or by their own
            ``"seq"``, which must grow. It is read on a thread, ahead of the answers, and no faster than the network answers. Without it, the
            rows of the test set.
        rate: of the test set's rows, how many a second.
        limit: end after so many samples.
        batch_up_to: how many samples are answered together at most.
        wait_up_to: milliseconds that a sample waits for others to be answered with.
        queue: how many samples may wait.
        when_full: what happens to a sample that finds the queue full: block, drop-oldest or drop-newest.
        deadline: milliseconds after which a sample is answered without what has not come.
        redraw: when u is drawn anew: ``"every=1000"`` (samples) or ``"10s"``.
        reload: take newer checkpoints of the run as they come.
        best: serve the checkpoint that scored best on validation rows.
        data: the folder of the data set, if it has moved.
        set: keys of straggler, link, channel or profile and their values.
        device, threads, in_process: as ``run`` takes them.

    Raises:
        Error: by iterating, with the program's own line.
    """
    words = [str(run.folder if isinstance(run, Run) else os.fspath(run))]
    # Its standard input tells it that this process has ended; samples do so, too.
    words += ["--end-with-parent"] if source is None else ["--source", "stdin"]
    words += flags({"rate": rate, "limit": limit, "batch-up-to": batch_up_to, "wait-up-to": wait_up_to, "queue": queue})
    words += flags({"when-full": when_full, "deadline": deadline, "redraw": redraw, "reload": reload, "best": best})
    words += flags({"data": data, "device": device, "threads": threads, "in-process": in_process})
    words += assignments(set or {})
    return Service(words, source)


def _write(into: IO[bytes], seq: int, sample: Sample) -> None:
    """A sample as a line, and its arrays behind it."""
    line: dict[str, Any] = {"seq": seq}
    arrays: dict[str, Any] = {}
    for name, values in sample.items():
        if name == "seq":
            continue
        if hasattr(values, "__array__"):
            arrays[name] = values
        else:
            line[name] = list(_flat(values))
    if arrays:
        line["npy"] = list(arrays)
    try:
        text = json.dumps(line, allow_nan=False)
    except (TypeError, ValueError):
        raise Error(f"sample {seq}: its values should be finite numbers, in lists or arrays", status=2) from None
    into.write(text.encode() + b"\n")
    for name, values in arrays.items():
        _write_array(into, f"sample {seq}: {name}", values)


def _write_array(into: IO[bytes], what: str, values: Any) -> None:
    try:
        import numpy
    except ImportError:
        raise needs("numpy", "arrays", "an array as a sample") from None
    array = numpy.asarray(values)
    if array.dtype.kind not in "biuf":
        raise Error(f"{what} holds {array.dtype}; give an array of numbers", status=2)
    # To memory first: it would ask a pipe for its position.
    content = io.BytesIO()
    numpy.save(content, array, allow_pickle=False)
    into.write(content.getvalue())


def _flat(values: Any) -> Iterator[Any]:
    """The numbers of lists within lists, in order."""
    if isinstance(values, (list, tuple)):
        for part in values:
            yield from _flat(part)
    else:
        yield values
