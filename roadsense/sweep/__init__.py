"""A sweep from settings to its table: trials, the best of them driven again, and what their differences are worth."""
