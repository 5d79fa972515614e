"""How long `fraudctl --help` takes, beside importing the libraries it must not load. Interleaved rounds.

.venv/bin/python benchmarks/help_time.py [ROUNDS]
"""

import statistics
import subprocess
import sys
import time

HELP = [sys.executable, "-m", "fraudctl", "--help"]
IMPORTS = [sys.executable, "-c", "import pyspark, docker, psycopg, confluent_kafka"]


def seconds(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    for argv in (HELP, IMPORTS):
        seconds(argv)  # compiled files and disk cache are not what is measured
    pairs = [(seconds(HELP), seconds(IMPORTS)) for _ in range(rounds)]
    ours, theirs = zip(*pairs, strict=True)
    print(f"--help   median {statistics.median(ours):.3f} s  best {min(ours):.3f} s")
    print(f"imports  median {statistics.median(theirs):.3f} s  best {min(theirs):.3f} s")
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"ratio    median {ratio:.2f} over {rounds} rounds")


if __name__ == "__main__":
    main()
