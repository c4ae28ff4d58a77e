"""What an operator does with a queue: statistics, single jobs, clean-up."""
