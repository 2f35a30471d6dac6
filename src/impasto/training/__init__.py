"""Training: pictures in memory, tasks that turn batches into losses, one loop that runs them."""
