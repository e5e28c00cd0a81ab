"""The reference service: three resources, built on the public names of Brickwork."""
