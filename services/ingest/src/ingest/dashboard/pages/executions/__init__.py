"""The pages of executions: the list, one execution, its replay, and what waits."""
