"""The handlers of the pages, one module per family of pages."""
