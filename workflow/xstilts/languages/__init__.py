"""Human languages: codes, names, families and scripts."""
