"""What a report was made on: the machine, and the versions of everything that has a say in the figures."""

import asyncio
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import asyncpg
import psutil

from loadtests.bench.results import Machine
from loadtests.bench.stage import Servers

PACKAGES = (
    "aiokafka",
    "faust-streaming",
    "asyncpg",
    "orjson",
    "msgspec",
    "uvloop",
    "uvicorn",
    "confluent-kafka",
)
_COUNTING = """
import sys
from time import perf_counter
end, rounds = perf_counter() + float(sys.argv[1]), 0
while perf_counter() < end:
    rounds += 1
    sum(range(1000))
print(rounds)
"""
_ROOT = Path(__file__).parents[2]
_BROKER = re.compile(r"^org\.apache\.kafka:kafka_[\d.]+:(\S+)", re.MULTILINE)
_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def this_machine() -> Machine:
    """Describe the machine."""
    info = Path("/proc/cpuinfo")
    model = _MODEL.search(info.read_text()) if info.exists() else None
    return Machine(
        cpu=model[1] if model else platform.processor() or platform.machine(),
        cores=psutil.cpu_count() or 1,
        memory_mib=psutil.virtual_memory().total // 2**20,
        kernel=f"{platform.system()} {platform.release()}",
    )


async def at_once(seconds: float = 0.5) -> float:
    """Measure how much all cores get done together, where one alone gets 1 done: threads of one core share it."""
    cores = psutil.cpu_count() or 1
    before, together, after = [await _counted(count, seconds) for count in (1, cores, 1)]
    return 2 * together / (before + after)


async def _counted(processes: int, seconds: float) -> int:
    """Count in so many processes at once; gives the sum."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _COUNTING, str(seconds), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(processes)
    ]
    said = await asyncio.gather(*(each.communicate() for each in started))
    return sum(int(counted) for counted, _ in said)


async def versions(servers: Servers) -> dict[str, str]:
    """Name what runs, and in which version; `git` is the commit, with a plus for changes on top."""
    connection = await asyncpg.connect(servers.postgres_dsn)
    try:
        postgres = str(await connection.fetchval("show server_version"))
        durable = [
            f"{name}={await connection.fetchval(f'show {name}')}" for name in ("fsync", "synchronous_commit")
        ]
    finally:
        await connection.close()
    lock = _BROKER.search((_ROOT / "streams" / "embedded" / "kafka.lock").read_text())
    return {
        "git": await commit(),
        "python": platform.python_version(),
        "postgres": f"{postgres} ({', '.join(durable)})",
        "kafka": lock[1] if lock else "unknown",
        **{name: found for name in PACKAGES if (found := _package(name))},
    }


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


async def commit() -> str:
    """Name the commit of this tree, with a plus for changes on top."""
    found = await _git("rev-parse", "--short=12", "HEAD")
    return f"{found}{'+' if found and await _git('status', '--porcelain', '-uno') else ''}" or "unknown"


async def _git(*arguments: str) -> str:
    try:
        git = await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        return ""
    said, _ = await git.communicate()
    return said.decode().strip()
