"""`python -m ambidex` is the command `ambidex`."""

from .cli import main

if __name__ == "__main__":
    main()
