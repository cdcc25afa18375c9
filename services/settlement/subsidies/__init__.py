"""Who pays for meals: the frozen split of each, what goes back, and what is claimed of governments."""
