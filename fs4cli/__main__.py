"""`python -m fs4cli` is `fs4`."""

from fs4cli.cli.app import main

if __name__ == "__main__":
    main()
