"""Methods: everything that turns a prompt into a deployable controller, one a file."""
