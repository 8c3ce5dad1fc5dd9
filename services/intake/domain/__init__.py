"""What the counter knows and decides. Values in, values out."""
