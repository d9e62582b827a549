"""A study expanded: cells, artefacts, which of them exist and which are missing."""
