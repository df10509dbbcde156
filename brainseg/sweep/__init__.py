"""Many cells: composed, ordered, each in a process of its own, listed; imports no torch."""
