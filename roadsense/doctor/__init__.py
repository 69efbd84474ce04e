"""What this machine is, what of it a training needs, and what is missing. Looks only; changes nothing."""
