"""Arrays in, ids out."""
