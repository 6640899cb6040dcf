"""A campaign against ourselves: hostile configurations and files, killed runs, other kernels; figures, not examples.

Each part is seeded and counted, ends with a summary, and is run by a session of nox that bears its name. A case is told
by its seed and number alone, so that one that failed is made again by `--first NUMBER --count 1`. It is no part of the
wheel.
"""
