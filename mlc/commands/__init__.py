"""The commands: one file each, plain arguments in, plain results out.

Nothing is printed.
"""
