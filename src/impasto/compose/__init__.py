"""What is built from stylizers: whole pictures."""
