"""Makes a build's parts by Apache Beam: on this machine, or on a cluster that sees the same files.

Beam is an extra (`pip install -e '.[beam]'`). It only runs a function over jobs, each of which
writes one part; what is in a part, and its place, do not depend on who makes it. So a build may be
begun by Beam and go on without, or the other way round.

    DirectRunner (here) takes processes of this machine: --workers of them
    DataflowRunner, FlinkRunner, SparkRunner, PortableRunner take what --beam_args says

Beam's options are passed on as they are. The workers need this checkout and its packages, and the
source and --out under the same paths (a shared file system, or a bucket mounted as one).
"""

import functools
from collections.abc import Callable, Iterator, Sequence

from data_pipelines import parallel
from data_pipelines.prepared import Job, Mapper

RUNNERS = ("DirectRunner", "DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner")


def mapper(runner: str, args: Sequence[str], workers: int) -> Mapper:
    """What makes the parts by Beam.

    Args:
      runner: one of `RUNNERS`.
      args: Beam's pipeline options, as '--name=value'.
      workers: processes for the DirectRunner, unless `args` say how many.

    Raises:
      ValueError: an unknown runner, or Beam is not installed.
    """
    if runner not in RUNNERS:
        raise ValueError(f"no runner {runner!r}: one of {', '.join(RUNNERS)}")
    try:
        import apache_beam  # noqa: F401
    except ImportError:
        raise ValueError(
            "Apache Beam is not installed: pip install -e '.[beam]' (in an environment of its "
            "own, see requirements-beam.lock), or leave --runner out"
        ) from None
    args = list(args)
    if runner == "DirectRunner" and not any("direct_num_workers" in each for each in args):
        args += [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"]
    return functools.partial(_run, options=[f"--runner={runner}", *args])


def _run(work: Callable[[Job], int], jobs: Sequence[Job], options: Sequence[str]) -> Iterator[int]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    if not jobs:
        return
    with (
        parallel.environment(parallel.ONE_THREAD | parallel.kept_programs()),
        beam.Pipeline(options=PipelineOptions(list(options))) as pipeline,
    ):
        _ = (
            pipeline
            | "Parts" >> beam.Create(list(jobs), reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Prepare" >> beam.Map(work)
        )
    yield sum(len(job.entries) for job in jobs)
