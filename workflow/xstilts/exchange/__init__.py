"""Exchange of results: data frames, comparisons, model cards, scores of other systems."""
