"""The state of a study: running, failed or missing jobs, and the fitness of this machine."""
