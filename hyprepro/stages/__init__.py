"""The training stages of the paper: each reads finished artifacts, trains one thing, and writes one artifact."""
