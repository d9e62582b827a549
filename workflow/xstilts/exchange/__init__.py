"""Results that leave their folder or come into it: notebooks, comparisons, cards, other systems."""
