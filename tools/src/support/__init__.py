"""What the tests, the tools and the benchmarks share."""
