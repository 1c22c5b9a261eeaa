"""What tests share: small tables, slow reference loops, generators."""
