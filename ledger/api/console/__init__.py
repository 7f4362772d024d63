"""The console: pages that show where money is and what is wrong, rendered here, with nothing from elsewhere."""
