"""What each part of a policy is worth: trainings that differ in one thing, and the learned policy over worse and worse radios."""
