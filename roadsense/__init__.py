"""RoadSense: parallel training of V2V collision-avoidance policies on SUMO.

Importing the package is cheap: it loads no ray, torch, traci or boto3.
"""

__version__ = "0.1.0"
