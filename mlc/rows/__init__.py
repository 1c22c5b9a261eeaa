"""The task on rows: from a table to examples with targets.

Never loads torch.
"""
