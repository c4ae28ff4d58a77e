"""The fuzz targets, one module each (`tests.fuzz.target`)."""
