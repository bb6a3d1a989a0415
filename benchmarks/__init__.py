"""Training runs and measurements; each module is a script of its own."""
