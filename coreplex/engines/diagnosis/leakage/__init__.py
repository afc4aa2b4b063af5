"""Target leakage: columns that give the target away, found by detectors over one sample of rows."""
