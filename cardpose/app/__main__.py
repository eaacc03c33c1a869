"""`python -m cardpose.app`: the page for a phone."""

from cardpose.app.command import main

if __name__ == "__main__":
    main()
