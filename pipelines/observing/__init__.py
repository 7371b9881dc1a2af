"""What is seen of a stage's run: its progress, log lines, metrics and books, and who watches."""
