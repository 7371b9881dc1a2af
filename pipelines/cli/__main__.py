"""`python -m pipelines.cli`: torchrun starts modules."""

from pipelines.cli.entry import main

if __name__ == "__main__":
    main()
