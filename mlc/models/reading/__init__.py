"""What the parts of a model read: batches of tensors, from the inputs of a task, on any device."""
