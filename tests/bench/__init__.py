"""Benchmarks. Run one with ``uv run python -m tests.bench.bench_NAME [--quick] [--json FILE]``.

Each figure stands beside a reference measured in the same run, because machines differ and are noisy; none
is a test, because a slow machine is not a fault.
"""
