"""Exchange: import of other datasets, and export in the formats that other tools read."""
