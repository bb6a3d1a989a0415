"""Training runs, measurements, and the pictures of the pages."""
