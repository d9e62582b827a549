"""From score files to numbers, tables and figures, with their uncertainty."""
