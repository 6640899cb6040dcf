"""The HDF5 stores of policies and trajectories, streamed, self-describing, and read as untrusted files."""
