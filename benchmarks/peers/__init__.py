"""Other libraries, as their documentation shows them."""
