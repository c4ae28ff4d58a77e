"""The live stream: one reader of the stores for each process, and the streams of the pages that show its figures."""
