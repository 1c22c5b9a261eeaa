"""The scenario of an event task: window, cutoffs, model of histories."""
