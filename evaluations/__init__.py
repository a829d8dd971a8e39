"""Published benchmarks, asked through the streaming path: `lookback eval NAME`.

A benchmark is a module with one class; what it says of files, prompts and scoring are facts of the
sources that it names. It knows no engine: `stream` watches and asks, `run` keeps the results.
"""

from evaluations.benchmark import Benchmark
from evaluations.egoschema import EgoSchema
from evaluations.longvideobench import LongVideoBench
from evaluations.mlvu import MLVU
from evaluations.ovobench import OVOBench
from evaluations.rvs import RVS
from evaluations.streamingbench import StreamingBench
from evaluations.videomme import VideoMME

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        VideoMME(),
        MLVU(),
        LongVideoBench(),
        EgoSchema(),
        OVOBench(),
        StreamingBench(),
        RVS(),
    )
}
