"""Where a run's curves and its page go besides its folder: TensorBoard, Weights & Biases, trackio."""
