"""Measures work: a server to measure on, work of some shape, who drives it, and what it costs."""
