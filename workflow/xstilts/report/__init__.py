"""The folder of a study: its files and its page."""
