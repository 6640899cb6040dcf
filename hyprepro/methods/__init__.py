"""Methods: everything that turns a prompt, or a task's numbers, into deployable controllers."""
