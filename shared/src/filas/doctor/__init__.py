"""The doctor: what is wrong, and why one object does not continue. It reads the stores and changes nothing."""
