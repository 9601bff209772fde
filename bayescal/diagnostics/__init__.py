"""What to look at before a fit is believed."""
