"""The whole way and the receiving beside 1, 10 and 100 times the stored data."""
