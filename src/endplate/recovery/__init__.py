"""Recovery: screening, what a programme is made of, the way back to work, and what is urgent."""
