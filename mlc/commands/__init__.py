"""The commands: one file each, plain arguments in, plain results out; nothing is printed."""
