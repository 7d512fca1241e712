"""What a run will take, and which blocks suit a budget of memory, time and machines."""
