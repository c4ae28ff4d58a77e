"""What each guarantee costs: the same load with one of them switched off, in the benchmark only."""
