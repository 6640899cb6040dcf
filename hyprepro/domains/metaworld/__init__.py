"""Meta-World: 50 manipulation tasks, told by a prompt; the paper's Tables 1 to 3."""
