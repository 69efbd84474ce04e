"""What is driven: base scenarios, generated datasets, and distances along routes."""
