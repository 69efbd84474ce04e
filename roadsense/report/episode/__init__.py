"""One episode to watch: recorded by driving it again, then shown as a page or an animation."""
