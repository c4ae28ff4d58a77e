"""The job functions of the queue flow-processing, and the tasks that enqueue its jobs."""
