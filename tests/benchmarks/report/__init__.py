"""The report: saved results, goals, plots and the page docs/benchmarks.md."""
