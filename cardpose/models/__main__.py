"""`python -m cardpose.models`: the released models."""

from cardpose.models.listing import main

if __name__ == "__main__":
    main()
