"""Pages that people read: the report of runs, an episode to watch, a look at a dataset. No Ray: everything comes from files."""
