"""Parts of training and prediction: checkpoints, heads, LoRA, batches, callbacks, processes."""
