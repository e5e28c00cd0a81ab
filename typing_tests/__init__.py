"""What type checkers make of the public names: `assert_type`, checked and never run."""
