"""The reference service, built on the public names of Brickwork."""
