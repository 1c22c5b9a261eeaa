"""The event task: from tables of events to examples with targets.

Never loads torch.
"""
