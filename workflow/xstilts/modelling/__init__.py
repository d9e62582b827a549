"""The parts of a GPU job: checkpoints, heads, LoRA, batches, callbacks, processes, inference."""
