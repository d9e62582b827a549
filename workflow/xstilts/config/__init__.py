"""The configuration: the keys that users write, and how they are read and checked."""
