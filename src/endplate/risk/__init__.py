"""Risk: scores of tumours, injuries, the spinal cord, frailty, other illness and nutrition."""
