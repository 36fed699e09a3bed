"""The benchmarks: quantumflow beside its peers, on one server, in one run."""
