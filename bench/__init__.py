"""Benchmarks: each puts us beside a peer in one run and shows the ratio. `make bench` runs them all."""
