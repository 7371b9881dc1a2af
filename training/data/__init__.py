"""Training data: the input specification, encoders, and arrays gathered by the batch."""
