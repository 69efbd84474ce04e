"""What a training shows while it runs: a dashboard on a terminal, plain lines elsewhere. It never slows or breaks what it shows."""
