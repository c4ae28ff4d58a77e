"""What an operator does with a queue: statistics, commands for single jobs, clean-up, results."""
