"""Training: pictures in memory, tasks that turn a batch into named losses, and the one loop that
runs them.
"""
