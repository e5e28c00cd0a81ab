"""Libraries that are compared, each in the form its documentation shows, over the same articles."""
