"""Files of tables: what each is, which have rows, and which one is to blame."""
