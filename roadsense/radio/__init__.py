"""What the ego hears: sensors, messages, links, delivery, neighbour table, and the measured parameter sets. Pure numpy, no SUMO."""
