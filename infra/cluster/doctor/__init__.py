"""What a cluster must have, and what an installation must do in it; each finding has its remedy."""
