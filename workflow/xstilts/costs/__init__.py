"""Costs of jobs: measured, estimated, billed, chosen within a budget."""
