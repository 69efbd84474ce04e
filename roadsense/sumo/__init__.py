"""What moves: SUMO, its processes, ports and sessions. The only package that imports traci or libsumo."""
