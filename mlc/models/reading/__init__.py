"""What the parts of a model read.

Batches of tensors, from the inputs of a task, on any device.
"""
