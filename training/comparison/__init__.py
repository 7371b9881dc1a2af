"""The comparison: all models on the same rows, tuned with the same budget, judged on the test days."""
