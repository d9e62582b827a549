"""What a user may write in the configuration, and how it is read and checked."""
