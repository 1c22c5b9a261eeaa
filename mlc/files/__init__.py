"""Files that are whole or absent, and the one process that may write them."""
