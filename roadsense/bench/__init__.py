"""How fast this machine drives and learns, in ratios to a yardstick that is measured in the same run."""
