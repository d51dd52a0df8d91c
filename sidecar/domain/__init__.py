"""What the product is about, in the standard library alone: no framework, no I/O, no clock of its own."""
