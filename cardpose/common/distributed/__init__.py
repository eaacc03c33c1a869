"""Processes that train one model together: launch (start them), ranks (which one is this), collectives (exchange)."""
