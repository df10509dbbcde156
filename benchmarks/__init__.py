"""`make bench`: how fast this machine trains, loads, scores and starts, as ratios."""
