"""The stages, one per phase: plain programs that read and write files, independent of Snakemake."""
