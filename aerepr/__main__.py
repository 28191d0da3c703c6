"""`python -m aerepr` is `aerepr`."""

from aerepr.cli.main import main

if __name__ == "__main__":
    main()
