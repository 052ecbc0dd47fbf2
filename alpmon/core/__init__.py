"""Pure: bytes and numbers in, facts and intentions out. No socket, no clock, no metric, no log."""
