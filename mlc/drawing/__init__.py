"""How things are drawn: HTML, SVG, and tables for terminals."""
