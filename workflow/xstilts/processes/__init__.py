"""Processes of a local run: their signals, the GPUs that they take, and the fork server."""
