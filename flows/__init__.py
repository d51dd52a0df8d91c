"""What happens, one story a file. A flow reads as its graph: no I/O, no SQL, no HTTP here."""
