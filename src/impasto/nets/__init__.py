"""Networks: the encoder that reads pictures."""
