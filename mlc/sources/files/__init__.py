"""Files of tables: what each is by its bytes, which have rows, and which one is to blame."""
