"""The verbs: one file a command, plain arguments in, nothing printed."""
