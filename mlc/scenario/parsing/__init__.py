"""From the text of a scenario file to values that know their lines."""
