"""Which explanation predicts people best."""
