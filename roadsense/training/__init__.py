"""The learner: PPO on RLlib over parallel env runners. The only code that imports ray."""
