"""What the ego hears: sensors, messages, links, relaying, neighbour table, and the measured parameter sets. Pure numpy, no SUMO."""
